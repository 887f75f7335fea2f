//! The roots that Microsoft names, and a trust file that lacks some of them.

use crate::config::teams::Root;
use crate::transport::tls::certificate::Certificate;

/// Which roots a trust file lacks, and what to do; further ones in it are none of our business.
pub(super) fn missing(roots: &[Root], trusted: &[Certificate]) -> Option<(String, String)> {
    let missing: Vec<&Root> =
        roots.iter().filter(|root| !trusted.iter().any(|certificate| certificate.sha1 == root.sha1)).collect();
    if missing.is_empty() {
        return None;
    }
    let what = if missing.len() == roots.len() {
        format!("has none of the {} roots that Microsoft names", roots.len())
    } else {
        let names: Vec<&str> = missing.iter().map(|root| &*root.name).collect();
        format!("lacks {} of the {} roots that Microsoft names: {}", missing.len(), roots.len(), names.join(", "))
    };
    let each: Vec<String> = missing.iter().map(|root| format!("{} (SHA-1 {})", root.name, root.sha1)).collect();
    Some((what, format!("add {}", each.join(", "))))
}

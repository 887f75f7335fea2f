//! Numbers in the first lines of a request as Teams reads them: `sip:+E164@host:5061;user=phone;transport=tls` in the
//! Request-URI, the same number in To. `sips` and `tel` become `sip`: Teams knows neither, and no hop that a target
//! names is found by a `tel` URI (RFC 3261 section 19.1.6).

use crate::call::Tools;
use crate::call::forward::Forward;
use crate::call::owned::hosts::is_telephone;
use crate::sip::edit::{Edits, write_decimal};
use crate::sip::scan::Params;
use crate::sip::{NameAddr, Scheme, Uri};
use crate::trunk::{Hop, Target, TrunkKind};

/// Makes the edits to a request that begins a dialog, once its Request-URI has been made the target's.
pub(in crate::call) fn write_numbers(forward: &Forward<'_>, tools: &mut Tools) {
    let Tools { edits, scratch, .. } = tools;
    if forward.is_verbatim() {
        return;
    }
    let (Some(target), Some(span)) = (forward.target, forward.request.request_uri_span()) else { return };
    scratch.clear();
    edits.render(forward.request, span, scratch);
    let Ok(uri) = Uri::parse(scratch) else { return };
    let teams = forward.edge.trunk(forward.hop.trunk).is_some_and(|trunk| trunk.kind == TrunkKind::Teams);
    let phone = teams && is_telephone(uri.user.unwrap_or_default());
    let marked = uri.param(b"user").is_some();
    let sound = match uri.scheme {
        Scheme::Sip => !phone || marked,
        Scheme::Sips => !teams,
        Scheme::Tel => false,
        Scheme::Other => true,
    };
    if !sound {
        edits.retract(span);
        edits.replace_with(span, |out| write_as_sip(&uri, target, forward.hop, phone, out));
    }
    if teams && let Some(user) = uri.user {
        write_to(forward, user, edits);
    }
}

fn write_as_sip(uri: &Uri<'_>, target: &Target, hop: &Hop, phone: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(b"sip:");
    let tel = uri.scheme == Scheme::Tel;
    if let Some(user) = uri.user {
        out.extend_from_slice(user);
        out.extend_from_slice(if tel { uri.params } else { b"" });
        if let Some(password) = uri.password {
            out.push(b':');
            out.extend_from_slice(password);
        }
        out.push(b'@');
    }
    if tel {
        write_host(target, out);
        out.extend_from_slice(b";user=phone");
    } else {
        out.extend_from_slice(uri.host);
        if let Some(port) = uri.port {
            out.push(b':');
            write_decimal(out, u64::from(port));
        }
        let params = || Params::new(uri.params).filter_map(Result::ok);
        for param in params().filter(|param| !param.is(b"transport")) {
            out.push(b';');
            out.extend_from_slice(param.name);
            if let Some(value) = param.value {
                out.push(b'=');
                out.extend_from_slice(value);
            }
        }
        if phone && !params().any(|param| param.is(b"user")) {
            out.extend_from_slice(b";user=phone");
        }
    }
    if hop.transport.is_reliable() {
        out.extend_from_slice(b";transport=");
        out.extend_from_slice(hop.transport.uri_token().as_bytes());
    }
}

fn write_host(target: &Target, out: &mut Vec<u8>) {
    let is_v6 = target.host.contains(':') && !target.host.starts_with('[');
    out.extend_from_slice(if is_v6 { b"[" } else { b"" });
    out.extend_from_slice(target.host.as_bytes());
    out.extend_from_slice(if is_v6 { b"]" } else { b"" });
    if let Some(port) = target.port {
        out.push(b':');
        write_decimal(out, u64::from(port));
    }
}

/// To names the number that is called, not what was dialled for it.
fn write_to(forward: &Forward<'_>, user: &[u8], edits: &mut Edits) {
    let to = forward.request.to().and_then(|to: NameAddr<'_>| to.uri()).ok().and_then(|uri| uri.user);
    if let Some(old) = to.filter(|old| *old != user && is_telephone(user)) {
        edits.replace(forward.request.span_of(old), user);
    }
}

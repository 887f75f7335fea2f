//! `trunkway certs dev`: a private authority and the certificates of a rehearsal, as files.
//!
//! For demos, tests and laboratories. Nothing here is trusted by anybody who was not given `ca.pem`, and
//! Teams itself never accepts such a certificate: production certificates come from a public authority.
//!
//! Files that exist are kept, missing ones are made under the authority that lies there; only
//! [`DevOptions::force`] replaces, and then everything.

mod authority;

pub use authority::{DevAuthority, DevCertificates, KeyKind, Leaf, Pem, Purpose, Role};

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::transport::tls;
use authority::AUTHORITY_NAME;

/// Arguments of `trunkway certs`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Make a private authority and certificates for development and tests.
    ///
    /// An edge certificate, one for a stand-in of Teams (serverAuth only, as Microsoft's are), one for a PBX, one that
    /// has expired and one with a wrong name. Never for production.
    Dev(DevArguments),
}

#[derive(Debug, clap::Args)]
struct DevArguments {
    /// Where they are written.
    #[arg(long, value_name = "FOLDER", default_value = "certs/dev")]
    dir: PathBuf,
    /// A name or address in the edge's certificate, instead of the usual ones; may stand more than once.
    #[arg(long = "name", value_name = "FQDN")]
    names: Vec<String>,
    /// Replace what is there.
    #[arg(long)]
    force: bool,
}

/// Makes what was asked for and tells which files are there now.
pub fn certs(arguments: &Arguments) -> super::Output {
    let What::Dev(dev) = &arguments.what;
    let mut options = DevOptions { force: dev.force, ..DevOptions::default() };
    if !dev.names.is_empty() {
        options.edge_names.clone_from(&dev.names);
    }
    match make_dev_certificates(&dev.dir, &options) {
        Ok(made) => {
            let line = |made: &Made| {
                let what = if made.written { "made" } else { "kept" };
                format!("{what}  {:<32}  {}\n", made.path.display(), made.purpose)
            };
            super::Output::said(made.iter().map(line).collect())
        }
        Err(error) => super::Output::fault(format!("error: {error}\n")),
    }
}

/// How development certificates are made.
#[derive(Clone, Debug)]
pub struct DevOptions {
    /// Replaces the authority and every certificate that is already there.
    pub force: bool,
    pub key: KeyKind,
    /// Host names (one-label wildcards allowed) and addresses in the edge's certificate.
    pub edge_names: Vec<String>,
}

impl Default for DevOptions {
    fn default() -> Self {
        Self {
            force: false,
            key: KeyKind::default(),
            edge_names: ["edge.example.net", "*.customers.example.net", "localhost", "127.0.0.1", "::1"]
                .map(str::to_owned)
                .to_vec(),
        }
    }
}

/// One file of the directory, and whether this run wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    pub path: PathBuf,
    /// False: the file was there and was kept.
    pub written: bool,
    /// What the file is for, in a few words.
    pub purpose: &'static str,
}

/// Why development certificates could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertsError {
    #[error("{path}: {source}", path = path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{present} is there but {missing} is not; a certificate and its key belong together: put it back, remove the other, or start over with --force", present = present.display(), missing = missing.display())]
    HalfPair { present: PathBuf, missing: PathBuf },
    #[error("{certificate} is there but {authority}, under which it was made, is not; put it back, or start over with --force", certificate = certificate.display(), authority = authority.display())]
    LostAuthority { certificate: PathBuf, authority: PathBuf },
    #[error("{path}: not the key of a development authority ({reason}); start over with --force", path = path.display())]
    ForeignAuthority { path: PathBuf, reason: String },
    #[error("{name:?} cannot stand in a certificate: {reason}")]
    BadName { name: String, reason: String },
    #[error("certificate could not be made: {0}")]
    Issue(#[from] rcgen::Error),
}

/// Makes the authority and the certificates of every [`Role`] in `dir`, which is created with mode 0700
/// when missing; keys get mode 0600.
pub fn make_dev_certificates(dir: &Path, options: &DevOptions) -> Result<Vec<Made>, CertsError> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|source| io_fault(dir, source))?;
    let authority_files = PairFiles::new(dir, "ca");
    let roles = Role::ALL.map(|role| (role, PairFiles::new(dir, role.file_stem())));
    // All pairs are looked at before the first file is written, so that a refusal changes nothing.
    let authority_kept = authority_files.is_kept(options.force)?;
    for (_, files) in &roles {
        if files.is_kept(options.force)? && !authority_kept {
            return Err(CertsError::LostAuthority {
                certificate: files.certificate.clone(),
                authority: authority_files.certificate,
            });
        }
    }
    let authority = if authority_kept {
        authority_files.read_authority()?
    } else {
        DevAuthority::generate(AUTHORITY_NAME, options.key)?
    };
    let purpose = "authority: give ca.pem to those who shall trust the others, ca.key to nobody";
    let authority_pem = || Ok(authority.pem());
    let mut made = authority_files.settle(!authority_kept, purpose, options.force, authority_pem)?.to_vec();
    for (role, files) in &roles {
        let write = !files.is_kept(options.force)?;
        let pem = || authority.issue(&role.leaf(options));
        made.extend(files.settle(write, role.purpose(), options.force, pem)?);
    }
    Ok(made)
}

/// A certificate file and its key file.
struct PairFiles {
    certificate: PathBuf,
    key: PathBuf,
}

impl PairFiles {
    fn new(dir: &Path, stem: &str) -> Self {
        Self { certificate: dir.join(format!("{stem}.pem")), key: dir.join(format!("{stem}.key")) }
    }

    fn is_kept(&self, force: bool) -> Result<bool, CertsError> {
        let half = |present: &PathBuf, missing: &PathBuf| CertsError::HalfPair {
            present: present.clone(),
            missing: missing.clone(),
        };
        match (self.certificate.exists(), self.key.exists()) {
            _ if force => Ok(false),
            (true, true) => Ok(true),
            (false, false) => Ok(false),
            (true, false) => Err(half(&self.certificate, &self.key)),
            (false, true) => Err(half(&self.key, &self.certificate)),
        }
    }

    /// Reads the authority and proves by a trial certificate that it can go on issuing.
    fn read_authority(&self) -> Result<DevAuthority, CertsError> {
        let foreign = |reason: String| CertsError::ForeignAuthority { path: self.key.clone(), reason };
        let read = |path: &Path| fs::read_to_string(path).map_err(|source| io_fault(path, source));
        let (certificate, key) = (read(&self.certificate)?, read(&self.key)?);
        let authority =
            DevAuthority::from_pem(AUTHORITY_NAME, &certificate, &key).map_err(|error| foreign(error.to_string()))?;
        let trial = authority.issue(&Leaf {
            names: vec!["trial.invalid".to_owned()],
            purpose: Purpose::Server,
            expired: false,
            key: KeyKind::EcdsaP256,
        })?;
        tls::pem::check_issuer(trial.certificate.as_bytes(), &self.certificate)
            .map_err(|error| foreign(error.to_string()))?;
        Ok(authority)
    }

    fn settle(
        &self,
        write: bool,
        purpose: &'static str,
        replace: bool,
        pem: impl FnOnce() -> Result<Pem, CertsError>,
    ) -> Result<[Made; 2], CertsError> {
        if write {
            let pem = pem()?;
            write_file(&self.key, &pem.key, 0o600, replace)?;
            write_file(&self.certificate, &pem.certificate, 0o644, replace)?;
        }
        Ok([&self.certificate, &self.key].map(|path| Made { path: path.clone(), written: write, purpose }))
    }
}

fn write_file(path: &Path, text: &str, mode: u32, replace: bool) -> Result<(), CertsError> {
    let fault = |source| io_fault(path, source);
    if replace {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fault(error)),
            _ => {}
        }
    }
    // `create_new`: a link or file that somebody put there meanwhile is not written through.
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(fault)
}

fn io_fault(path: &Path, source: io::Error) -> CertsError {
    CertsError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;

//! A reader of Rust source that sees paths and nothing else: comments, strings and code for tests are left out.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// The paths that a file names.
pub struct Source {
    /// Relative to `src`.
    pub path: PathBuf,
    pub mentions: Vec<Mention>,
    /// Files that hold modules for tests, relative to `src`, without `.rs`.
    test_modules: Vec<PathBuf>,
}

/// One path and where it stands. Paths into this crate begin with `crate`.
#[derive(Debug)]
pub struct Mention {
    pub line: usize,
    pub path: Vec<String>,
}

impl Mention {
    /// The top-level module of this crate that the path leads into.
    pub fn module(&self) -> Option<&str> {
        match self.path.as_slice() {
            [root, module, ..] if root == "crate" || root == "trunkway" => Some(module),
            _ => None,
        }
    }

    /// Whether the path is one of this crate's dependency.
    pub fn is_of_crate(&self, krate: &str) -> bool {
        self.path.first().is_some_and(|first| first == krate)
    }

    /// Whether the path begins with `name`, or, for a type's function, ends with it.
    pub fn names(&self, name: &str) -> bool {
        let name: Vec<&str> = name.split("::").collect();
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        path.starts_with(&name) || (name.len() == 2 && name[0].starts_with(char::is_uppercase) && path.ends_with(&name))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Token {
    text: String,
    line: usize,
}

impl Source {
    /// Reads all files below `root` that are not for tests only.
    pub fn read_all(root: &Path) -> Vec<Self> {
        let mut sources = Vec::new();
        let mut open = vec![root.to_path_buf()];
        while let Some(directory) = open.pop() {
            for entry in std::fs::read_dir(&directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    let text = std::fs::read_to_string(&path).unwrap();
                    sources.push(Self::read(path.strip_prefix(root).unwrap(), &text));
                }
            }
        }
        let tests: Vec<PathBuf> = sources.iter().flat_map(|source| source.test_modules.clone()).collect();
        sources.retain(|source| !tests.iter().any(|test| source.path.with_extension("").starts_with(test)));
        sources.sort_by(|a, b| a.path.cmp(&b.path));
        sources
    }

    /// Reads one file; `path` is relative to `src`.
    pub fn read(path: &Path, text: &str) -> Self {
        let mut reader = Reader {
            tokens: tokens(text),
            at: 0,
            module: module_of(path),
            local: HashSet::new(),
            source: Self { path: path.to_path_buf(), mentions: Vec::new(), test_modules: Vec::new() },
        };
        reader.local = reader.declared_modules();
        reader.items();
        reader.source
    }
}

/// The module that a file holds, as a path: `call/context.rs` is `call::context`.
fn module_of(path: &Path) -> Vec<String> {
    let names = path.with_extension("");
    let names = names.iter().map(|name| name.to_string_lossy().into_owned());
    names.filter(|name| name != "lib" && name != "main").collect()
}

struct Reader {
    tokens: Vec<Token>,
    at: usize,
    module: Vec<String>,
    /// Modules declared in this file: their names are no crates.
    local: HashSet<String>,
    source: Source,
}

impl Reader {
    fn declared_modules(&self) -> HashSet<String> {
        let pairs = self.tokens.windows(2).filter(|pair| pair[0].text == "mod");
        pairs.map(|pair| pair[1].text.clone()).collect()
    }

    fn peek(&self, ahead: usize) -> &str {
        self.tokens.get(self.at + ahead).map_or("", |token| &token.text)
    }

    fn items(&mut self) {
        while self.at < self.tokens.len() {
            match self.peek(0) {
                "#" => self.attribute(),
                "use" => {
                    self.at += 1;
                    self.use_tree(Vec::new());
                }
                "::" => {
                    self.at += 1;
                    self.path();
                }
                word if is_word(word) => self.path(),
                _ => self.at += 1,
            }
        }
    }

    /// Skips an attribute; with `#[cfg(test)]` also what it stands on.
    fn attribute(&mut self) {
        let start = self.at;
        self.at += 1;
        if self.peek(0) == "!" {
            self.at += 1;
        }
        if self.peek(0) != "[" {
            return;
        }
        self.skip_group();
        let words: Vec<&str> = self.tokens[start..self.at].iter().map(|token| token.text.as_str()).collect();
        if words == ["#", "[", "cfg", "(", "test", ")", "]"] {
            self.skip_item();
        }
    }

    fn skip_item(&mut self) {
        while self.at < self.tokens.len() {
            match self.peek(0) {
                "#" => {
                    self.at += 1;
                    self.skip_group();
                }
                "mod" if self.peek(2) == ";" => {
                    let mut file: PathBuf = self.module.iter().collect();
                    file.push(self.peek(1));
                    self.source.test_modules.push(file);
                    self.at += 3;
                    return;
                }
                "use" => {
                    while !matches!(self.peek(0), ";" | "") {
                        self.at += 1;
                    }
                    return;
                }
                "{" => return self.skip_group(),
                ";" => {
                    self.at += 1;
                    return;
                }
                "(" | "[" => self.skip_group(),
                _ => self.at += 1,
            }
        }
    }

    /// Skips from an opening bracket to behind its closing one.
    fn skip_group(&mut self) {
        let mut depth = 0;
        while self.at < self.tokens.len() {
            match self.peek(0) {
                "{" | "(" | "[" => depth += 1,
                "}" | ")" | "]" => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return;
            }
        }
    }

    /// `a::b::c` outside of `use`; a single name is no path.
    fn path(&mut self) {
        let line = self.tokens[self.at].line;
        let mut path = vec![self.peek(0).to_owned()];
        self.at += 1;
        while self.peek(0) == "::" && is_word(self.peek(1)) {
            path.push(self.peek(1).to_owned());
            self.at += 2;
        }
        if path.len() > 1 {
            self.note(path, line);
        }
    }

    /// `a::{b, c::d as e, *}`.
    fn use_tree(&mut self, mut prefix: Vec<String>) {
        let line = self.tokens.get(self.at).map_or(0, |token| token.line);
        loop {
            match self.peek(0) {
                "::" => self.at += 1,
                "{" => {
                    self.at += 1;
                    while !matches!(self.peek(0), "}" | "") {
                        self.use_tree(prefix.clone());
                        if self.peek(0) == "," {
                            self.at += 1;
                        }
                    }
                    self.at += 1;
                    return;
                }
                "as" => self.at += 2,
                "*" => self.at += 1,
                word if is_word(word) => {
                    prefix.push(word.to_owned());
                    self.at += 1;
                }
                _ => break,
            }
        }
        self.note(prefix, line);
    }

    /// Notes a path, with `self` and `super` resolved; paths into this file's own modules are left out.
    fn note(&mut self, path: Vec<String>, line: usize) {
        let mut rest = path.as_slice();
        let mut base = self.module.clone();
        let mut relative = false;
        while let Some((first, tail)) = rest.split_first() {
            match first.as_str() {
                "self" => {}
                "super" => {
                    base.pop();
                }
                _ => break,
            }
            relative = true;
            rest = tail;
        }
        let path = if relative {
            ["crate".to_owned()].into_iter().chain(base).chain(rest.iter().cloned()).collect()
        } else if path.first().is_some_and(|first| self.local.contains(first)) {
            return;
        } else {
            path
        };
        self.source.mentions.push(Mention { line, path });
    }
}

fn is_word(text: &str) -> bool {
    text.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// Words, `::` and single signs; no comments, no literals.
fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let (mut at, mut line) = (0, 1);
    let mut tokens = Vec::new();
    let get = |at: usize| chars.get(at).copied().unwrap_or('\0');
    while at < chars.len() {
        let start = at;
        match (get(at), get(at + 1)) {
            ('/', '/') => {
                while at < chars.len() && get(at) != '\n' {
                    at += 1;
                }
            }
            ('/', '*') => {
                let mut depth = 0;
                loop {
                    match (get(at), get(at + 1)) {
                        ('/', '*') => (depth, at) = (depth + 1, at + 2),
                        ('*', '/') => (depth, at) = (depth - 1, at + 2),
                        _ => at += 1,
                    }
                    if depth == 0 || at >= chars.len() {
                        break;
                    }
                }
            }
            ('"', _) => at = after_string(&chars, at),
            ('b' | 'c', '"') => at = after_string(&chars, at + 1),
            ('r', '"' | '#') if raw_end(&chars, at + 1).is_some() => at = raw_end(&chars, at + 1).unwrap_or(at),
            ('b' | 'c', 'r') if raw_end(&chars, at + 2).is_some() => at = raw_end(&chars, at + 2).unwrap_or(at),
            ('\'', '\\') => {
                at += 3;
                while at < chars.len() && get(at) != '\'' {
                    at += 1;
                }
                at += 1;
            }
            ('\'', _) if get(at + 2) == '\'' => at += 3,
            ('\'', _) => at += 1,
            (':', ':') => {
                tokens.push(Token { text: "::".into(), line });
                at += 2;
            }
            (first, _) if first.is_alphanumeric() || first == '_' => {
                while get(at).is_alphanumeric() || get(at) == '_' {
                    at += 1;
                }
                // A lifetime is no name.
                if start == 0 || get(start - 1) != '\'' {
                    tokens.push(Token { text: chars[start..at].iter().collect(), line });
                }
            }
            (sign, _) => {
                if !sign.is_whitespace() {
                    tokens.push(Token { text: sign.into(), line });
                }
                at += 1;
            }
        }
        line += chars[start..at.min(chars.len())].iter().filter(|&&char| char == '\n').count();
    }
    tokens
}

/// Behind the string literal whose quote stands at `at`.
fn after_string(chars: &[char], mut at: usize) -> usize {
    at += 1;
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    at
}

/// Behind the raw string whose signs or quote begin at `at`; `None` when there is none.
fn raw_end(chars: &[char], at: usize) -> Option<usize> {
    let signs = chars[at..].iter().take_while(|&&char| char == '#').count();
    if chars.get(at + signs) != Some(&'"') {
        return None;
    }
    let end: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', signs)).collect();
    let body = at + signs + 1;
    let found = chars[body..].windows(end.len()).position(|window| window == end)?;
    Some(body + found + end.len())
}

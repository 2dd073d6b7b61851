//! The sources of the crates as a tree of modules, in which paths and re-exports can be followed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use quote::ToTokens;
use syn::visit::Visit;

/// The crates, each with its root.
const CRATES: [(&str, &str); 3] = [
    ("tidemill", "src/lib.rs"),
    ("tidemill_core", "crates/core/src/lib.rs"),
    ("tidemill_engine", "crates/engine/src/lib.rs"),
];

/// Where an item is defined. A module is named by its path alone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Definition {
    pub(super) package: String,
    pub(super) module: Vec<String>,
    pub(super) name: String,
}

impl fmt::Display for Definition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{}::{}", self.package, self.module.join("::"), self.name)
    }
}

/// What a name stands for.
#[derive(Clone, Debug)]
pub(super) enum Target {
    Module(Definition),
    Item(Definition),
    /// Of a crate that is none of ours: its path.
    Foreign(String),
}

/// A `use` of one name.
#[derive(Clone)]
struct Import {
    path: Vec<String>,
    is_public: bool,
}

#[derive(Default)]
struct Module {
    /// By name; a type and a function of one name are two.
    items: BTreeMap<String, Vec<syn::Item>>,
    modules: BTreeMap<String, bool>,
    imports: BTreeMap<String, Import>,
    globs: Vec<Import>,
    impls: Vec<syn::ItemImpl>,
}

/// All modules, by crate and path.
pub(super) struct Crates {
    modules: BTreeMap<(String, Vec<String>), Module>,
    /// Of a type, where its implementations stand: the module, and which of its.
    impls: BTreeMap<Definition, Vec<(Definition, usize)>>,
}

impl Crates {
    pub(super) fn read() -> Self {
        let mut crates = Self { modules: BTreeMap::new(), impls: BTreeMap::new() };
        for (package, root) in CRATES {
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(root);
            crates.add_file(package, Vec::new(), &root);
        }
        crates.impls = crates.all_impls();
        crates
    }

    fn all_impls(&self) -> BTreeMap<Definition, Vec<(Definition, usize)>> {
        let mut impls = BTreeMap::<_, Vec<_>>::new();
        for ((package, path), module) in &self.modules {
            let at = Definition { package: package.clone(), module: path.clone(), name: String::new() };
            for (which, item) in module.impls.iter().enumerate() {
                if let syn::Type::Path(path) = &*item.self_ty
                    && let Some(Target::Item(target)) = self.resolve(&at, &segments(&path.path))
                {
                    impls.entry(target).or_default().push((at.clone(), which));
                }
            }
        }
        impls
    }

    fn add_file(&mut self, package: &str, path: Vec<String>, file: &Path) {
        let source = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let items = syn::parse_file(&source).expect("source that compiles").items;
        let stem = file.file_stem().unwrap_or_default();
        let parent = file.parent().expect("a folder");
        let is_folder = ["mod", "lib"].iter().any(|name| stem == *name);
        let folder = if is_folder { parent.to_path_buf() } else { parent.join(stem) };
        self.add(package, path, items, &folder);
    }

    /// `folder` is where the files of the modules below are.
    fn add(&mut self, package: &str, path: Vec<String>, items: Vec<syn::Item>, folder: &Path) {
        let mut module = Module::default();
        for item in items.into_iter().filter(|item| is_compiled(attributes(item))) {
            match item {
                syn::Item::Mod(inner) => {
                    let name = inner.ident.to_string();
                    let below = [&path[..], std::slice::from_ref(&name)].concat();
                    module.modules.insert(name.clone(), is_public(&inner.vis));
                    match inner.content {
                        Some((_, items)) => self.add(package, below, items, &folder.join(&name)),
                        None => self.add_file(package, below, &file_of(folder, &name)),
                    }
                }
                syn::Item::Use(import) => {
                    module.add_use(&mut Vec::new(), &import.tree, is_public(&import.vis));
                }
                syn::Item::Impl(item) => module.impls.push(item),
                item => {
                    if let Some(name) = name(&item) {
                        module.items.entry(name).or_default().push(item);
                    }
                }
            }
        }
        self.modules.insert((package.into(), path), module);
    }

    fn module(&self, at: &Definition) -> &Module {
        &self.modules[&(at.package.clone(), at.module.clone())]
    }

    /// What is public in a module, by name.
    pub(super) fn exports(&self, module: &Definition) -> BTreeMap<String, Target> {
        let mut exports = BTreeMap::new();
        let this = self.module(module);
        for glob in this.globs.iter().filter(|glob| glob.is_public) {
            if let Some(Target::Module(target)) = self.resolve(module, &glob.path) {
                exports.extend(self.exports(&target));
            }
        }
        let items = this.items.iter().filter(|(_, items)| items.iter().any(is_public_item));
        let modules = this.modules.iter().filter(|(_, is_public)| **is_public);
        let imports = this.imports.iter().filter(|(_, import)| import.is_public);
        let names = items.map(|(name, _)| name).chain(modules.map(|(name, _)| name));
        for name in names.chain(imports.map(|(name, _)| name)) {
            let target =
                self.lookup(module, name).unwrap_or_else(|| panic!("{name} in {module} leads nowhere"));
            exports.insert(name.clone(), target);
        }
        exports
    }

    /// What `name` stands for in a module, be it private.
    fn lookup(&self, module: &Definition, name: &str) -> Option<Target> {
        let this = self.modules.get(&(module.package.clone(), module.module.clone()))?;
        if this.items.contains_key(name) {
            return Some(Target::Item(Definition { name: name.into(), ..module.clone() }));
        }
        if this.modules.contains_key(name) {
            return Some(Target::Module(below(module, name)));
        }
        if let Some(import) = this.imports.get(name) {
            return self.resolve(module, &import.path);
        }
        this.globs.iter().find_map(|glob| match self.resolve(module, &glob.path)? {
            Target::Module(target) if target != *module => self.lookup(&target, name),
            _ => None,
        })
    }

    /// What a path in a module leads to.
    fn resolve(&self, module: &Definition, path: &[String]) -> Option<Target> {
        let root =
            |package: &str| Definition { package: package.into(), module: Vec::new(), name: String::new() };
        let (first, mut rest) = path.split_first()?;
        let mut at = match &**first {
            "crate" => Target::Module(root(&module.package)),
            "self" => Target::Module(Definition { name: String::new(), ..module.clone() }),
            "super" => {
                let parent = module.module.split_last().map_or(&[][..], |(_, parent)| parent).to_vec();
                Target::Module(Definition {
                    module: parent,
                    name: String::new(),
                    package: module.package.clone(),
                })
            }
            name => {
                let this = self.module(module);
                let is_own_import = this.imports.get(name).is_some_and(|import| import.path == path);
                match self.lookup(module, name).filter(|_| !is_own_import) {
                    Some(target) => target,
                    None if CRATES.iter().any(|(package, _)| *package == name) => Target::Module(root(name)),
                    None => {
                        return (path.len() > 1 || is_own_import).then(|| Target::Foreign(path.join("::")));
                    }
                }
            }
        };
        while let Some((next, others)) = rest.split_first() {
            at = match at {
                Target::Module(of) if next == "super" => {
                    Target::Module(Definition { module: of.module[..of.module.len() - 1].to_vec(), ..of })
                }
                Target::Module(of) => self.lookup(&of, next)?,
                // A variant, or an associated item.
                other => return Some(other),
            };
            rest = others;
        }
        Some(at)
    }

    fn items(&self, of: &Definition) -> Vec<&syn::Item> {
        let items = self.module(of).items.get(&of.name);
        items.into_iter().flatten().filter(|item| is_public_item(item)).collect()
    }

    /// Implementations for the type that is defined there, each with the module that it stands in.
    fn impls(&self, of: &Definition) -> Vec<(Definition, &syn::ItemImpl)> {
        let impls = self.impls.get(of).into_iter().flatten();
        impls.map(|(at, which)| (at.clone(), &self.module(at).impls[*which])).collect()
    }

    /// The signature of an item, then what is public of it.
    pub(super) fn describe(&self, of: &Definition) -> Vec<String> {
        let mut lines: Vec<String> = self.items(of).into_iter().flat_map(describe_item).collect();
        let mut own = Vec::new();
        let mut traits = BTreeSet::new();
        for (_, item) in self.impls(of) {
            match &item.trait_ {
                Some((_, path, _)) => {
                    traits.insert(format!("impl {}", text(path)));
                }
                None => own.extend(item.items.iter().filter_map(method)),
            }
        }
        own.sort();
        lines.extend(own);
        lines.extend(traits);
        lines
    }

    /// The items of our crates that the public signatures of an item speak of.
    pub(super) fn spoken_of(&self, of: &Definition) -> BTreeSet<Definition> {
        let at = Definition { name: String::new(), ..of.clone() };
        if of.name.is_empty() || !self.modules.contains_key(&(of.package.clone(), of.module.clone())) {
            return BTreeSet::new();
        }
        let mut paths = Vec::new();
        for item in self.items(of) {
            let mut seen = Signatures::default();
            seen.visit_item(item);
            paths.extend(seen.0.into_iter().map(|path| (at.clone(), path)));
        }
        for (at, item) in self.impls(of).into_iter().filter(|(_, item)| item.trait_.is_none()) {
            for part in item.items.iter().filter(|part| method(part).is_some()) {
                let mut seen = Signatures::default();
                seen.visit_impl_item(part);
                paths.extend(seen.0.into_iter().map(|path| (at.clone(), path)));
            }
        }
        let resolved = paths.into_iter().filter_map(|(at, path)| self.resolve(&at, &path));
        resolved
            .filter_map(|target| match target {
                Target::Item(definition) => Some(definition),
                _ => None,
            })
            .filter(|definition| definition != of)
            .collect()
    }
}

impl Module {
    fn add_use(&mut self, prefix: &mut Vec<String>, tree: &syn::UseTree, is_public: bool) {
        let at = |name: &syn::Ident, prefix: &[String]| {
            let name = name.to_string();
            if name == "self" { prefix.to_vec() } else { [prefix, &[name]].concat() }
        };
        match tree {
            syn::UseTree::Path(path) => {
                prefix.push(path.ident.to_string());
                self.add_use(prefix, &path.tree, is_public);
                prefix.pop();
            }
            syn::UseTree::Group(group) => {
                group.items.iter().for_each(|item| self.add_use(prefix, item, is_public));
            }
            syn::UseTree::Name(name) => {
                let path = at(&name.ident, prefix);
                let known_as = path.last().cloned().unwrap_or_default();
                self.imports.insert(known_as, Import { path, is_public });
            }
            syn::UseTree::Rename(rename) => {
                let path = at(&rename.ident, prefix);
                self.imports.insert(rename.rename.to_string(), Import { path, is_public });
            }
            syn::UseTree::Glob(_) => self.globs.push(Import { path: prefix.clone(), is_public }),
        }
    }
}

/// The paths in what users see of an item: no bodies, no private fields.
#[derive(Default)]
struct Signatures(Vec<Vec<String>>);

impl<'s> Visit<'s> for Signatures {
    fn visit_block(&mut self, _: &'s syn::Block) {}

    fn visit_expr(&mut self, _: &'s syn::Expr) {}

    fn visit_attribute(&mut self, _: &'s syn::Attribute) {}

    fn visit_visibility(&mut self, _: &'s syn::Visibility) {}

    fn visit_field(&mut self, field: &'s syn::Field) {
        // Those of an enum's variants are as public as it is, and have no word for it.
        if !matches!(field.vis, syn::Visibility::Restricted(_)) {
            syn::visit::visit_field(self, field);
        }
    }

    fn visit_item_struct(&mut self, item: &'s syn::ItemStruct) {
        self.visit_generics(&item.generics);
        item.fields.iter().filter(|field| is_public(&field.vis)).for_each(|field| self.visit_field(field));
    }

    fn visit_path(&mut self, path: &'s syn::Path) {
        self.0.push(segments(path));
        syn::visit::visit_path(self, path);
    }
}

fn segments(path: &syn::Path) -> Vec<String> {
    path.segments.iter().map(|segment| segment.ident.to_string()).collect()
}

fn below(module: &Definition, name: &str) -> Definition {
    let module_path = [&module.module[..], &[name.to_owned()]].concat();
    Definition { package: module.package.clone(), module: module_path, name: String::new() }
}

fn file_of(folder: &Path, name: &str) -> PathBuf {
    let file = folder.join(format!("{name}.rs"));
    if file.exists() { file } else { folder.join(name).join("mod.rs") }
}

fn is_public(visibility: &syn::Visibility) -> bool {
    matches!(visibility, syn::Visibility::Public(_))
}

/// Whether it is there in a default build: neither of tests nor of a feature.
fn is_compiled(attributes: &[syn::Attribute]) -> bool {
    !attributes.iter().any(|attribute| {
        let condition = text(&attribute.meta);
        attribute.path().is_ident("cfg")
            && ["cfg(test)", "cfg(doctest)", "feature = \"polars\""]
                .iter()
                .any(|off| condition.contains(off) && !condition.contains("not("))
    })
}

fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Const(item) => &item.attrs,
        syn::Item::Enum(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Macro(item) => &item.attrs,
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Static(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        syn::Item::Trait(item) => &item.attrs,
        syn::Item::Type(item) => &item.attrs,
        syn::Item::Union(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn name(item: &syn::Item) -> Option<String> {
    let name = match item {
        syn::Item::Const(item) => &item.ident,
        syn::Item::Enum(item) => &item.ident,
        syn::Item::Fn(item) => &item.sig.ident,
        syn::Item::Static(item) => &item.ident,
        syn::Item::Struct(item) => &item.ident,
        syn::Item::Trait(item) => &item.ident,
        syn::Item::Type(item) => &item.ident,
        syn::Item::Union(item) => &item.ident,
        syn::Item::Macro(item) => item.ident.as_ref()?,
        _ => return None,
    };
    Some(name.to_string())
}

fn is_public_item(item: &syn::Item) -> bool {
    match item {
        syn::Item::Const(item) => is_public(&item.vis),
        syn::Item::Enum(item) => is_public(&item.vis),
        syn::Item::Fn(item) => is_public(&item.vis),
        syn::Item::Static(item) => is_public(&item.vis),
        syn::Item::Struct(item) => is_public(&item.vis),
        syn::Item::Trait(item) => is_public(&item.vis),
        syn::Item::Type(item) => is_public(&item.vis),
        syn::Item::Union(item) => is_public(&item.vis),
        syn::Item::Macro(item) => {
            item.attrs.iter().any(|attribute| attribute.path().is_ident("macro_export"))
        }
        _ => false,
    }
}

/// An item in lines: its signature, then its public fields, variants or what the trait has.
fn describe_item(item: &syn::Item) -> Vec<String> {
    let growth = if attributes(item).iter().any(|a| a.path().is_ident("non_exhaustive")) {
        "#[non_exhaustive] "
    } else {
        ""
    };
    match item {
        syn::Item::Const(item) => vec![format!("const {}", text(&item.ty))],
        syn::Item::Static(item) => vec![format!("static {}", text(&item.ty))],
        syn::Item::Fn(item) => vec![text(&item.sig)],
        syn::Item::Type(item) => vec![format!("type {} = {}", text(&item.generics), text(&item.ty))],
        syn::Item::Macro(_) => vec!["macro".into()],
        syn::Item::Struct(item) => {
            let mut lines = vec![format!("{growth}struct{}{}", text(&item.generics), derives(&item.attrs))];
            lines.extend(item.fields.iter().enumerate().filter(|(_, f)| is_public(&f.vis)).map(
                |(at, field)| {
                    let name = field.ident.as_ref().map_or(at.to_string(), ToString::to_string);
                    format!("{name}: {}", text(&field.ty))
                },
            ));
            lines
        }
        syn::Item::Union(item) => vec![format!("union {}", text(&item.generics))],
        syn::Item::Enum(item) => {
            let mut lines = vec![format!("{growth}enum{}{}", text(&item.generics), derives(&item.attrs))];
            lines.extend(item.variants.iter().map(variant));
            lines
        }
        syn::Item::Trait(item) => {
            let bounds = if item.supertraits.is_empty() {
                String::new()
            } else {
                format!(": {}", text(&item.supertraits))
            };
            let mut lines = vec![format!("trait{}{bounds}", text(&item.generics))];
            lines.extend(item.items.iter().filter_map(|part| match part {
                syn::TraitItem::Fn(function) => {
                    let provided = if function.default.is_some() { " (provided)" } else { "" };
                    Some(format!("{}{provided}", text(&function.sig)))
                }
                syn::TraitItem::Const(constant) => {
                    Some(format!("const {}: {}", constant.ident, text(&constant.ty)))
                }
                syn::TraitItem::Type(item) => Some(format!("type {}: {}", item.ident, text(&item.bounds))),
                _ => None,
            }));
            lines
        }
        _ => Vec::new(),
    }
}

fn variant(variant: &syn::Variant) -> String {
    let fields = variant.fields.iter().map(|field| match &field.ident {
        Some(name) => format!("{name}: {}", text(&field.ty)),
        None => text(&field.ty),
    });
    let fields = fields.collect::<Vec<_>>().join(", ");
    match &variant.fields {
        syn::Fields::Unit => variant.ident.to_string(),
        syn::Fields::Named(_) => format!("{} {{ {fields} }}", variant.ident),
        syn::Fields::Unnamed(_) => format!("{}({fields})", variant.ident),
    }
}

fn derives(attributes: &[syn::Attribute]) -> String {
    let lists =
        attributes.iter().filter(|a| a.path().is_ident("derive")).filter_map(|a| a.meta.require_list().ok());
    let names: Vec<String> = lists.map(|list| text(&list.tokens)).collect();
    if names.is_empty() { String::new() } else { format!(": {}", names.join(", ")) }
}

/// A public part of an inherent implementation.
fn method(part: &syn::ImplItem) -> Option<String> {
    match part {
        syn::ImplItem::Fn(function) if is_public(&function.vis) && is_compiled(&function.attrs) => {
            Some(text(&function.sig))
        }
        syn::ImplItem::Const(constant) if is_public(&constant.vis) => {
            Some(format!("const {}: {}", constant.ident, text(&constant.ty)))
        }
        _ => None,
    }
}

/// Tokens as they are usually written.
fn text(tokens: &impl ToTokens) -> String {
    let text = tokens.to_token_stream().to_string();
    let pairs = [
        (" ,", ","),
        ("& ", "&"),
        (" ::", "::"),
        (":: ", "::"),
        ("< ", "<"),
        (" <", "<"),
        (" >", ">"),
        ("( ", "("),
        (" (", "("),
        (" )", ")"),
        (" :", ":"),
        ("' ", "'"),
        ("[ ", "["),
        (" ]", "]"),
        (" ;", ";"),
        (",)", ")"),
        ("->", "-> "),
        ("  ", " "),
    ];
    pairs.iter().fold(text, |text, (from, to)| text.replace(from, to))
}

//! From `[variables]` and the `[capsule.env]` templates to the settings of each capsule.
//!
//! A variable is looked up in one order: `--var`, then `ASTRID_VAR_<NAME>`, then what is stored,
//! then the default, then a prompt, and else an error that names all the ways. Only variables that
//! a selected capsule uses are looked up. Values are put in once: a value that itself contains
//! braces is not looked at again.

use std::collections::{BTreeMap, BTreeSet};

use astrid_authority::{CapsuleName, EnvKey};
use astrid_manifest::distro::Variable;
use astrid_manifest::template::{Segment, Template};

use crate::error::{Error, ErrorKind, Result};
use crate::secrets::Secret;

/// The templates of the selected capsules.
pub type Templates = BTreeMap<CapsuleName, BTreeMap<EnvKey, Template>>;

/// Says what the home's secret store holds.
pub trait StoredSecrets {
    /// Is there a value for the capsule as it is now (same source and signer)?
    ///
    /// `shape` is the text around the secret, when there is any: a value that was put together with
    /// other text does not count.
    fn has(&self, capsule: &CapsuleName, key: &EnvKey, shape: Option<&str>) -> bool;
    /// Is there a value, and is it this one?
    fn holds(&self, capsule: &CapsuleName, key: &EnvKey, value: &Secret) -> bool;
}

/// Where values come from, besides prompts.
pub struct Sources<'a> {
    /// Values of `--var NAME=VALUE`.
    pub overrides: &'a BTreeMap<String, String>,
    /// The environment of the process.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
    /// Values that an earlier apply stored. Never secrets.
    pub stored: &'a BTreeMap<String, String>,
    /// What the secret store holds.
    pub secrets: &'a dyn StoredSecrets,
}

/// A variable that only a person can give a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The variable's name.
    pub name: String,
    /// The label of the prompt.
    pub label: String,
    /// It must not be echoed.
    pub secret: bool,
}

/// Asks a person for values. Implemented where the terminal is.
pub trait Prompt {
    /// Asks for a value that may be shown; nothing when the person declines.
    ///
    /// # Errors
    /// When the terminal is gone.
    fn text(&mut self, question: &Question) -> Result<Option<String>>;
    /// Asks for a secret without echo; nothing when the person declines.
    ///
    /// # Errors
    /// When the terminal is gone.
    fn secret(&mut self, question: &Question) -> Result<Option<Secret>>;
}

/// One configuration value of one capsule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting {
    /// A value that is kept in the generation.
    Text(String),
    /// A secret that the store already holds.
    StoredSecret {
        /// The text around it, with the names of secret variables in their places.
        shape: Option<String>,
    },
    /// A secret that is to be stored when the plan is applied.
    NewSecret {
        /// The secret.
        value: Secret,
        /// The text around it, with the names of secret variables in their places.
        shape: Option<String>,
    },
    /// It depends on a variable that nobody gave a value yet.
    Unknown {
        /// It will be a secret.
        secret: bool,
    },
}

/// The settings of a fleet, as far as they are known without asking.
#[derive(Debug)]
pub struct Draft {
    templates: Templates,
    declared: BTreeMap<String, Variable>,
    values: BTreeMap<String, Value>,
    /// Settings whose secret is already in the store.
    in_store: BTreeSet<(CapsuleName, EnvKey)>,
    unchanged: BTreeSet<(CapsuleName, EnvKey)>,
    /// Variables whose value is their default.
    defaults: BTreeSet<String>,
    questions: Vec<Question>,
}

#[derive(Debug, Clone)]
enum Value {
    Text(String),
    Secret(Secret),
}

/// The text around the secrets of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Shape {
    /// There is none: the secret is the whole setting.
    Bare,
    /// It is this.
    Text(String),
    /// It depends on a variable without a value.
    Unknown,
}

impl Shape {
    fn text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text),
            Self::Bare | Self::Unknown => None,
        }
    }
}

impl Value {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.clone().into_bytes(),
            Self::Secret(secret) => secret.expose().to_vec(),
        }
    }
}

/// The settings of a fleet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Configuration {
    /// The settings of each capsule.
    pub settings: BTreeMap<CapsuleName, BTreeMap<EnvKey, Setting>>,
    /// The values of the variables that are not secret, to be stored with the generation.
    pub variables: BTreeMap<String, String>,
}

/// The environment variable that gives `variable` a value: `ASTRID_VAR_` and its letters and digits
/// in upper case, with `_` in place of everything else.
#[must_use]
pub fn environment_name(variable: &str) -> String {
    let rest = variable.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' });
    "ASTRID_VAR_".chars().chain(rest).collect()
}

/// Parses one `NAME=VALUE` of `--var`.
///
/// # Errors
/// When there is no `=` or no name.
pub fn parse_override(text: &str) -> Result<(String, String)> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        // The text is not repeated: somebody may have typed a secret.
        _ => Err(Error::new(ErrorKind::Usage, "`--var` takes NAME=VALUE")),
    }
}

/// Looks up every variable that `templates` use, without asking anybody.
///
/// # Errors
/// When a template uses a variable that is not declared, when `--var` names one that nobody declared,
/// or when it gives a secret: argument lists are seen by every process of the machine.
pub fn draft(
    declared: BTreeMap<String, Variable>,
    templates: Templates,
    sources: &Sources<'_>,
) -> Result<Draft> {
    for name in sources.overrides.keys() {
        match declared.get(name) {
            None => {
                return Err(Error::new(ErrorKind::Usage, format!("`--var {name}=…`: no such variable"))
                    .hint(format!("declared are: {}", list(declared.keys()))));
            }
            Some(Variable { secret: true, .. }) => {
                return Err(Error::new(
                    ErrorKind::Usage,
                    format!(
                        "`--var {name}=…`: `{name}` is a secret, and arguments are visible to other processes"
                    ),
                )
                .hint(format!("set {} instead, or run in a terminal to be asked", environment_name(name))));
            }
            Some(_) => {}
        }
    }
    let mut draft = Draft {
        templates,
        declared,
        values: BTreeMap::new(),
        in_store: BTreeSet::new(),
        unchanged: BTreeSet::new(),
        defaults: BTreeSet::new(),
        questions: Vec::new(),
    };
    let mut used = BTreeMap::<&str, Vec<(&CapsuleName, &EnvKey)>>::new();
    for (capsule, settings) in &draft.templates {
        for (key, template) in settings {
            for variable in template.variables() {
                used.entry(variable).or_default().push((capsule, key));
            }
        }
    }
    // Texts first: the text around a secret decides whether the stored one still counts.
    let mut used: Vec<_> = used.into_iter().collect();
    used.sort_by_key(|(name, _)| draft.declared.get(*name).is_some_and(|variable| variable.secret));
    let mut values = BTreeMap::new();
    let mut in_store = BTreeSet::new();
    let mut defaults = BTreeSet::new();
    let mut questions = Vec::new();
    for (name, places) in used {
        let Some(variable) = draft.declared.get(name) else {
            let (capsule, key) = places[0];
            return Err(Error::invalid(format!(
                "capsule `{capsule}`: env `{key}` uses the variable `{name}`, which is not declared"
            ))
            .hint(format!("declare it: [variables.{name}]")));
        };
        let given =
            sources.overrides.get(name).cloned().or_else(|| (sources.environment)(&environment_name(name)));
        let stored = if variable.secret { None } else { sources.stored.get(name).cloned() };
        let all_in_store = variable.secret
            && places.iter().all(|(capsule, key)| {
                let template = &draft.templates[*capsule][*key];
                match draft.shape(template, &values) {
                    Shape::Unknown => false,
                    shape => sources.secrets.has(capsule, key, shape.text().as_deref()),
                }
            });
        let value = match given.or(stored) {
            Some(value) => Some(value),
            None if all_in_store => {
                in_store.extend(places.iter().map(|(capsule, key)| ((*capsule).clone(), (*key).clone())));
                continue;
            }
            None => {
                if variable.default.is_some() {
                    defaults.insert(name.to_owned());
                }
                variable.default.clone()
            }
        };
        match value {
            Some(value) if variable.secret => {
                let secret = Secret::new(value)
                    .map_err(|error| Error::new(ErrorKind::Usage, format!("variable `{name}`: {error}")))?;
                values.insert(name.to_owned(), Value::Secret(secret));
            }
            Some(value) => {
                values.insert(name.to_owned(), Value::Text(value));
            }
            None => questions.push(Question {
                name: name.to_owned(),
                label: variable.description.clone().unwrap_or_else(|| name.to_owned()),
                secret: variable.secret,
            }),
        }
    }
    (draft.values, draft.in_store, draft.questions) = (values, in_store, questions);
    draft.defaults = defaults;
    draft.questions.sort_by(|one, two| one.name.cmp(&two.name));
    draft.note_unchanged(sources.secrets);
    Ok(draft)
}

fn list<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<_> = names.map(String::as_str).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn fill(template: &Template, value: &dyn Fn(&str) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
    let mut filled = Vec::new();
    for segment in template.segments() {
        match segment {
            Segment::Literal(text) => filled.extend_from_slice(text.as_bytes()),
            Segment::Variable(name) => filled.extend(value(name)?),
        }
    }
    Some(filled)
}

impl Draft {
    /// What only a person can answer.
    #[must_use]
    pub fn questions(&self) -> &[Question] {
        &self.questions
    }

    /// The settings that nobody gave a value, so that the declaration's defaults are taken.
    #[must_use]
    pub fn defaulted(&self) -> BTreeSet<(CapsuleName, EnvKey)> {
        let mut found = BTreeSet::new();
        for (capsule, templates) in &self.templates {
            for (key, template) in templates {
                let mut variables = template.variables().peekable();
                if variables.peek().is_some() && variables.all(|name| self.defaults.contains(name)) {
                    found.insert((capsule.clone(), key.clone()));
                }
            }
        }
        found
    }

    /// The settings as far as they are known: what a plan shows.
    #[must_use]
    pub fn preview(&self) -> Configuration {
        self.fill()
    }

    /// Asks what is still open, and completes the settings. Only to be called after trust was given.
    ///
    /// # Errors
    /// When something is open and nobody can be asked, or the person declines.
    pub fn complete(mut self, prompt: Option<&mut dyn Prompt>) -> Result<Configuration> {
        if let Some(prompt) = prompt {
            let mut open = Vec::new();
            for question in std::mem::take(&mut self.questions) {
                let answer = if question.secret {
                    prompt.secret(&question)?.map(Value::Secret)
                } else {
                    prompt.text(&question)?.map(Value::Text)
                };
                match answer {
                    Some(value) => {
                        self.values.insert(question.name, value);
                    }
                    None => open.push(question),
                }
            }
            self.questions = open;
        }
        let Some(first) = self.questions.first() else { return Ok(self.fill()) };
        let name = &first.name;
        let mut error = Error::invalid(if self.questions.len() == 1 {
            format!("variable `{name}` has no value")
        } else {
            let names: Vec<_> =
                self.questions.iter().map(|question| format!("`{}`", question.name)).collect();
            format!("variables {} have no values", names.join(", "))
        });
        let environment = environment_name(name);
        error = error.hint(if first.secret {
            format!("set {environment}, or run in a terminal to be asked")
        } else {
            format!(
                "pass `--var {name}=VALUE`, set {environment}, give `[variables.{name}]` a `default`, or run in a terminal to be asked"
            )
        });
        Err(error)
    }

    fn is_secret(&self, template: &Template) -> bool {
        template.variables().any(|name| self.declared.get(name).is_some_and(|variable| variable.secret))
    }

    /// The text around the secrets of a template.
    fn shape(&self, template: &Template, values: &BTreeMap<String, Value>) -> Shape {
        if matches!(template.segments(), [Segment::Variable(_)]) {
            // Nothing but one variable: its value is the setting, whatever else changes.
            return Shape::Bare;
        }
        let shape = fill(template, &|name| {
            if self.declared.get(name).is_some_and(|variable| variable.secret) {
                Some(format!("{{{{ {name} }}}}").into_bytes())
            } else {
                values.get(name).map(Value::bytes)
            }
        });
        shape.map_or(Shape::Unknown, |shape| Shape::Text(String::from_utf8_lossy(&shape).into_owned()))
    }

    /// Secrets that are given again and are the stored ones change nothing.
    fn note_unchanged(&mut self, secrets: &dyn StoredSecrets) {
        let filled = self.fill();
        for (capsule, settings) in filled.settings {
            for (key, setting) in settings {
                if let Setting::NewSecret { value, .. } = setting
                    && secrets.holds(&capsule, &key, &value)
                {
                    self.unchanged.insert((capsule.clone(), key));
                }
            }
        }
    }

    fn fill(&self) -> Configuration {
        let mut configuration = Configuration::default();
        let value = |name: &str| self.values.get(name).map(Value::bytes);
        for (capsule, templates) in &self.templates {
            let mut settings = BTreeMap::new();
            for (key, template) in templates {
                let place = (capsule.clone(), key.clone());
                let secret = self.is_secret(template);
                let shape = self.shape(template, &self.values).text();
                let setting = if self.unchanged.contains(&place) {
                    Setting::StoredSecret { shape }
                } else {
                    match fill(template, &value) {
                        Some(bytes) if secret => match Secret::new(bytes) {
                            Ok(value) => Setting::NewSecret { value, shape },
                            Err(_) => Setting::Unknown { secret },
                        },
                        Some(bytes) => Setting::Text(String::from_utf8_lossy(&bytes).into_owned()),
                        None if self.in_store.contains(&place) => Setting::StoredSecret { shape },
                        None => Setting::Unknown { secret },
                    }
                };
                settings.insert(key.clone(), setting);
            }
            configuration.settings.insert(capsule.clone(), settings);
        }
        for (name, value) in &self.values {
            if let Value::Text(text) = value {
                configuration.variables.insert(name.clone(), text.clone());
            }
        }
        configuration
    }
}

#[cfg(test)]
mod tests {
    use astrid_manifest::diagnostic::Position;

    use super::*;

    /// Holds the value `kept` for every capsule.
    struct Kept(Option<&'static str>);

    impl StoredSecrets for Kept {
        fn has(&self, _: &CapsuleName, _: &EnvKey, shape: Option<&str>) -> bool {
            self.0.is_some() && shape.is_none_or(|shape| shape == "Bearer {{ token }}")
        }

        fn holds(&self, _: &CapsuleName, _: &EnvKey, value: &Secret) -> bool {
            self.0.is_some_and(|kept| kept.as_bytes() == value.expose())
        }
    }

    struct Answers(&'static str);

    impl Prompt for Answers {
        fn text(&mut self, _: &Question) -> Result<Option<String>> {
            Ok(Some(self.0.to_owned()))
        }

        fn secret(&mut self, _: &Question) -> Result<Option<Secret>> {
            Ok(Secret::new(self.0).ok())
        }
    }

    fn declared() -> BTreeMap<String, Variable> {
        let variable = |secret, default: Option<&str>| Variable {
            description: None,
            secret,
            default: default.map(str::to_owned),
            at: Position::default(),
        };
        BTreeMap::from([
            ("host".to_owned(), variable(false, None)),
            ("port".to_owned(), variable(false, Some("80"))),
            ("token".to_owned(), variable(true, None)),
        ])
    }

    fn templates(text: &str) -> Templates {
        let template = text.parse::<Template>().unwrap();
        BTreeMap::from([("fs".parse().unwrap(), BTreeMap::from([("KEY".parse().unwrap(), template)]))])
    }

    fn setting(configuration: &Configuration) -> &Setting {
        &configuration.settings["fs"]["KEY"]
    }

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn run(
        text: &str,
        over: &[(&str, &str)],
        env: &[(&str, &str)],
        stored: &[(&str, &str)],
        kept: Kept,
    ) -> Result<Draft> {
        let (over, env, stored) = (map(over), map(env), map(stored));
        let sources = Sources {
            overrides: &over,
            environment: &|name| env.get(name).cloned(),
            stored: &stored,
            secrets: &kept,
        };
        draft(declared(), templates(text), &sources)
    }

    #[test]
    fn each_way_outranks_the_next() {
        let all = [("port", "1")];
        let env = [("ASTRID_VAR_PORT", "2")];
        let stored = [("port", "3")];
        let text = |draft: Result<Draft>| setting(&draft.unwrap().complete(None).unwrap()).clone();
        assert_eq!(text(run("{{port}}", &all, &env, &stored, Kept(None))), Setting::Text("1".to_owned()));
        assert_eq!(text(run("{{port}}", &[], &env, &stored, Kept(None))), Setting::Text("2".to_owned()));
        assert_eq!(text(run("{{port}}", &[], &[], &stored, Kept(None))), Setting::Text("3".to_owned()));
        assert_eq!(text(run("{{port}}", &[], &[], &[], Kept(None))), Setting::Text("80".to_owned()));
        let asked = run("x{{ host }}", &[], &[], &[], Kept(None)).unwrap();
        assert_eq!(asked.questions().len(), 1);
        let asked = asked.complete(Some(&mut Answers("y"))).unwrap();
        assert_eq!(setting(&asked), &Setting::Text("xy".to_owned()));
        assert_eq!(asked.variables, map(&[("host", "y")]));
    }

    #[test]
    fn a_missing_value_names_all_the_ways_denied() {
        let error = run("{{ host }}", &[], &[], &[], Kept(None)).unwrap().complete(None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let hint = error.next_step().unwrap();
        for way in ["--var host=", "ASTRID_VAR_HOST", "default", "terminal"] {
            assert!(hint.contains(way), "{hint}");
        }
    }

    #[test]
    fn a_secret_on_the_command_line_is_refused_and_not_repeated_denied() {
        let error = run("{{ token }}", &[("token", "hunter2")], &[], &[], Kept(None)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(!format!("{error} {error:?}").contains("hunter2"));
        assert!(!parse_override("hunter2").unwrap_err().to_string().contains("hunter2"));
    }

    #[test]
    fn a_stored_secret_is_used_and_giving_it_again_changes_nothing() {
        let stored = Setting::StoredSecret { shape: None };
        assert_eq!(setting(&run("{{token}}", &[], &[], &[], Kept(Some("k"))).unwrap().preview()), &stored);
        let again = run("{{token}}", &[], &[("ASTRID_VAR_TOKEN", "k")], &[], Kept(Some("k"))).unwrap();
        assert_eq!(setting(&again.preview()), &stored);
        let other = run("{{token}}", &[], &[("ASTRID_VAR_TOKEN", "n")], &[], Kept(Some("k"))).unwrap();
        assert!(matches!(setting(&other.preview()), Setting::NewSecret { .. }));
        assert!(other.preview().variables.is_empty(), "a secret is no stored variable");
    }

    #[test]
    fn a_stored_secret_with_other_text_around_it_is_asked_again_denied() {
        assert!(run("Bearer {{token}}", &[], &[], &[], Kept(Some("k"))).unwrap().questions().is_empty());
        assert_eq!(run("Token {{token}}", &[], &[], &[], Kept(Some("k"))).unwrap().questions().len(), 1);
    }

    #[test]
    fn values_are_put_in_once_and_only_what_is_used_is_needed() {
        let draft = run("{{ port }}", &[("port", "{{ host }}")], &[], &[], Kept(None)).unwrap();
        assert_eq!(setting(&draft.complete(None).unwrap()), &Setting::Text("{{ host }}".to_owned()));
    }

    #[test]
    fn undeclared_variables_are_refused_denied() {
        assert_eq!(run("{{ nope }}", &[], &[], &[], Kept(None)).unwrap_err().kind(), ErrorKind::Invalid);
        assert!(run("{{ port }}", &[("nope", "1")], &[], &[], Kept(None)).is_err());
        assert_eq!(environment_name("openai-key.v2"), "ASTRID_VAR_OPENAI_KEY_V2");
    }
}

//! Data forms (XEP-0004): submitted ones for the server's admin commands, and the forms we show.
//!
//! Submitted forms are read leniently: clients omit types, `FORM_TYPE` and empty fields, and send titles and fixed
//! fields back.

use minidom::Element;

use super::{leaf, set, with};

/// Namespace of data forms.
pub const NS_DATA: &str = "jabber:x:data";
/// Namespace of field validation (XEP-0122).
pub const NS_VALIDATE: &str = "http://jabber.org/protocol/xdata-validate";
/// Number of fields of a submitted form that are read; our forms have eight.
const MOST_FIELDS: usize = 32;

/// Joins lines into one. A line that ends with text to copy, and therefore without a full stop, is separated by more
/// than a space.
pub fn run_on(lines: &[impl AsRef<str>]) -> String {
    let mut all = String::new();
    for line in lines {
        match all.chars().next_back() {
            None => {}
            Some('.' | '!' | '?' | ':' | ';' | ',') => all.push(' '),
            Some(_) => all.push_str(" · "),
        }
        all.push_str(line.as_ref());
    }
    all
}

/// A submitted form: its `FORM_TYPE`, and fields with their values.
pub fn submit(form_type: &str, fields: &[(&str, &[&str])]) -> Element {
    let mut form = with("x", NS_DATA, &[("type", "submit")]);
    form.append_child(field("FORM_TYPE", &[form_type]));
    for (var, values) in fields {
        form.append_child(field(var, values));
    }
    form
}

/// A form to fill in, or a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// Whether it is filled in or read.
    pub purpose: Purpose,
    /// Its `FORM_TYPE` (XEP-0068).
    pub form_type: String,
    /// Title of a few words.
    pub title: String,
    /// Instructions, one sentence per item.
    pub instructions: Vec<String>,
    /// The fields, or a table. A form with a table has no other fields (XEP-0004, 3.4).
    pub body: Body,
}

/// The type of a form we show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To be filled in.
    Form,
    /// A result to read.
    Result,
}

/// The content of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Single fields.
    Fields(Vec<FormField>),
    /// `<reported/>` and one `<item/>` per row; every row has a cell for each column.
    Table {
        /// Variable and label of each column.
        columns: Vec<(String, String)>,
        /// The cells of each row.
        rows: Vec<Vec<String>>,
    },
}

/// A field we show.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FormField {
    /// Its name, unique in the form.
    pub var: String,
    /// Type of the field.
    pub kind: FieldType,
    /// Label for people.
    pub label: String,
    /// An additional sentence; many clients do not show it.
    pub desc: String,
    /// Whether it must be filled in.
    pub required: bool,
    /// Initial values.
    pub values: Vec<String>,
    /// The choices: value and label.
    pub options: Vec<(String, String)>,
    /// For an integer: smallest and largest value. Only a hint for clients; submitted values are parsed anyway.
    pub range: Option<(u32, u32)>,
}

/// The type of a field (XEP-0004, 3.3).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FieldType {
    /// One line.
    #[default]
    TextSingle,
    /// Several lines, one value each.
    TextMulti,
    /// One of the options.
    ListSingle,
    /// `1` or `0`.
    Boolean,
    /// JIDs, one value each.
    JidMulti,
    /// A line to read.
    Fixed,
}

impl FieldType {
    fn name(self) -> &'static str {
        match self {
            FieldType::TextSingle => "text-single",
            FieldType::TextMulti => "text-multi",
            FieldType::ListSingle => "list-single",
            FieldType::Boolean => "boolean",
            FieldType::JidMulti => "jid-multi",
            FieldType::Fixed => "fixed",
        }
    }
}

impl From<Form> for Element {
    fn from(form: Form) -> Element {
        let purpose = match form.purpose {
            Purpose::Form => "form",
            Purpose::Result => "result",
        };
        let mut x = with("x", NS_DATA, &[("type", purpose)]);
        x.append_child(leaf("title", NS_DATA, &form.title));
        // COMPAT: of several `<instructions/>` profanity and Converse show only the first, and XEP-0004, 3.1, forbids
        // line breaks within one.
        if !form.instructions.is_empty() {
            x.append_child(leaf("instructions", NS_DATA, &run_on(&form.instructions)));
        }
        let mut form_type = field("FORM_TYPE", &[&form.form_type]);
        set(&mut form_type, "type", "hidden");
        x.append_child(form_type);
        match form.body {
            Body::Fields(fields) => {
                for field in fields {
                    x.append_child(field.into());
                }
            }
            Body::Table { columns, rows } => {
                let mut reported = Element::bare("reported", NS_DATA);
                for (var, label) in &columns {
                    let mut column = with("field", NS_DATA, &[("var", var), ("label", label)]);
                    set(&mut column, "type", FieldType::TextSingle.name());
                    reported.append_child(column);
                }
                x.append_child(reported);
                for row in rows {
                    let mut item = Element::bare("item", NS_DATA);
                    for ((var, _), cell) in columns.iter().zip(&row) {
                        item.append_child(field(var, &[cell]));
                    }
                    x.append_child(item);
                }
            }
        }
        x
    }
}

impl From<FormField> for Element {
    fn from(shown: FormField) -> Element {
        let values: Vec<&str> = shown.values.iter().map(String::as_str).collect();
        let mut element = field(&shown.var, &values);
        set(&mut element, "type", shown.kind.name());
        if !shown.label.is_empty() {
            set(&mut element, "label", &shown.label);
        }
        for (value, label) in &shown.options {
            let mut option = with("option", NS_DATA, &[("label", label)]);
            option.append_child(leaf("value", NS_DATA, value));
            element.append_child(option);
        }
        if !shown.desc.is_empty() {
            element.append_child(leaf("desc", NS_DATA, &shown.desc));
        }
        if let Some((from, to)) = shown.range {
            let (from, to) = (from.to_string(), to.to_string());
            let mut hint = with("validate", NS_VALIDATE, &[("datatype", "xs:integer")]);
            hint.append_child(with("range", NS_VALIDATE, &[("min", &from), ("max", &to)]));
            element.append_child(hint);
        }
        if shown.required {
            element.append_child(Element::bare("required", NS_DATA));
        }
        element
    }
}

/// The submitted fields that have a name, with their values; of several fields with one name the first counts. `None`
/// if the form is of type `form` or `result`.
///
/// `type='cancel'` counts as submitted: the action says what is wanted (XEP-0050).
pub fn submitted(form: &Element) -> Option<Vec<(String, Vec<String>)>> {
    if !matches!(form.attr("type"), None | Some("submit" | "cancel")) {
        return None;
    }
    let mut fields: Vec<(String, Vec<String>)> = Vec::new();
    for child in form.children().filter(|child| child.is("field", NS_DATA)) {
        let Some(var) = child.attr("var") else {
            continue;
        };
        if fields.len() < MOST_FIELDS && !fields.iter().any(|(known, _)| known == var) {
            let values = child.children().filter(|child| child.is("value", NS_DATA));
            fields.push((var.to_owned(), values.map(Element::text).collect()));
        }
    }
    Some(fields)
}

fn field(var: &str, values: &[&str]) -> Element {
    let mut field = with("field", NS_DATA, &[("var", var)]);
    for value in values {
        field.append_child(leaf("value", NS_DATA, value));
    }
    field
}

/// The values of a field; `None` if there is no such field (a field without values gives an empty list). The form's
/// type is ignored: ejabberd 24.12 answers with `form`, later ones with `result`.
pub fn values(form: &Element, var: &str) -> Option<Vec<String>> {
    let field = form
        .children()
        .find(|child| child.is("field", NS_DATA) && child.attr("var") == Some(var))?;
    let values = field.children().filter(|child| child.is("value", NS_DATA));
    Some(values.map(Element::text).collect())
}

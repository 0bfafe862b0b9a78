//! Data forms (XEP-0004), as far as the server's admin commands need them.

use minidom::Element;

use super::{leaf, with};

/// Namespace of data forms.
pub const NS_DATA: &str = "jabber:x:data";

/// A filled form: its `FORM_TYPE` and the fields with their values.
pub fn submit(form_type: &str, fields: &[(&str, &[&str])]) -> Element {
    let mut form = with("x", NS_DATA, &[("type", "submit")]);
    form.append_child(field("FORM_TYPE", &[form_type]));
    for (var, values) in fields {
        form.append_child(field(var, values));
    }
    form
}

fn field(var: &str, values: &[&str]) -> Element {
    let mut field = with("field", NS_DATA, &[("var", var)]);
    for value in values {
        field.append_child(leaf("value", NS_DATA, value));
    }
    field
}

/// The values of a field; `None` when there is no such field, which is not the same as one without a value. The form's
/// type is not looked at: ejabberd 24.12 answers with `form`, later ones with `result`.
pub fn values(form: &Element, var: &str) -> Option<Vec<String>> {
    let field = form
        .children()
        .find(|child| child.is("field", NS_DATA) && child.attr("var") == Some(var))?;
    let values = field.children().filter(|child| child.is("value", NS_DATA));
    Some(values.map(Element::text).collect())
}

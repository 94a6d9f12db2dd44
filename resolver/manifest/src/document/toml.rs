//! TOML text as a [`Node`].

use ::toml::Spanned;
use ::toml::de::{DeTable, DeValue};

use super::{Context, Key, MAX_DEPTH, MAX_ENTRIES, Node, Value};

/// Reads TOML. On `None` the complaints are in `context`.
pub(crate) fn parse<'a>(context: &Context<'a>) -> Option<Node<'a>> {
    match DeTable::parse(context.text) {
        Ok(table) => {
            let span = table.span();
            let value = table_value(context, table.into_inner(), &span, 0)?;
            Some(Node { span: 0..0, value })
        }
        Err(error) => {
            let span = error.span().unwrap_or(0..0);
            let message = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
            context.error(&span, "syntax", message);
            None
        }
    }
}

fn too_many(context: &Context<'_>, span: &std::ops::Range<usize>, count: usize) -> bool {
    if count > MAX_ENTRIES {
        context.error(span, "too-many", format!("{count} entries; at most {MAX_ENTRIES} are read"));
    }
    count > MAX_ENTRIES
}

fn table_value<'a>(
    context: &Context<'a>,
    table: DeTable<'a>,
    span: &std::ops::Range<usize>,
    depth: usize,
) -> Option<Value<'a>> {
    if too_many(context, span, table.len()) {
        return None;
    }
    let mut entries = Vec::with_capacity(table.len());
    for (key, value) in table {
        let key = Key { span: key.span(), name: key.into_inner() };
        entries.push((key, node(context, value, depth + 1)?));
    }
    Some(Value::Table(entries))
}

fn node<'a>(context: &Context<'a>, value: Spanned<DeValue<'a>>, depth: usize) -> Option<Node<'a>> {
    let span = value.span();
    if depth > MAX_DEPTH {
        context.error(&span, "too-deep", format!("values are nested more than {MAX_DEPTH} deep"));
        return None;
    }
    let value = match value.into_inner() {
        DeValue::String(text) => Value::String(text),
        DeValue::Integer(integer) => {
            let digits = integer.as_str();
            if let Ok(number) = i64::from_str_radix(digits, integer.radix()) {
                Value::Integer(number)
            } else {
                context.error(&span, "wrong-type", "the integer does not fit into 64 bits");
                return None;
            }
        }
        DeValue::Float(float) => match float.as_str().parse::<f64>() {
            Ok(number) if number.is_finite() => Value::Float(number),
            _ => {
                context.error(&span, "wrong-type", "the number is not finite");
                return None;
            }
        },
        DeValue::Boolean(flag) => Value::Bool(flag),
        DeValue::Datetime(datetime) => Value::Datetime(datetime.to_string()),
        DeValue::Array(array) => {
            if too_many(context, &span, array.len()) {
                return None;
            }
            let mut items = Vec::with_capacity(array.len());
            for item in array {
                items.push(node(context, item, depth + 1)?);
            }
            Value::Array(items)
        }
        DeValue::Table(table) => table_value(context, table, &span, depth)?,
    };
    Some(Node { span, value })
}

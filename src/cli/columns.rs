//! Text in aligned columns, cut to the width of the terminal.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Spaces between two columns.
const GAP: usize = 2;
/// Minimum width of a column.
const NARROWEST: usize = 8;

/// Lines of aligned columns, the heads first. With a `width`, the widest columns are cut until the lines fit.
pub(super) fn lines(heads: &[String], rows: &[Vec<String>], width: Option<usize>) -> Vec<String> {
    let all = || std::iter::once(heads).chain(rows.iter().map(Vec::as_slice));
    let mut widths: Vec<usize> = (0..heads.len())
        .map(|column| {
            let cells = all().filter_map(|cells| cells.get(column));
            cells.map(|cell| cell.width()).max().unwrap_or(0)
        })
        .collect();
    if let Some(width) = width {
        let gaps = GAP * widths.len().saturating_sub(1);
        fit(&mut widths, width.saturating_sub(gaps));
    }
    all().map(|cells| line(cells, &widths)).collect()
}

/// Narrows the widest column by one until all fit, or all have the minimum width.
fn fit(widths: &mut [usize], room: usize) {
    while widths.iter().sum::<usize>() > room
        && let Some(widest) = widths.iter_mut().max()
        && *widest > NARROWEST
    {
        *widest -= 1;
    }
}

fn line(cells: &[String], widths: &[usize]) -> String {
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        let cell = cut(cell, *width);
        let padding = width.saturating_sub(cell.width()) + GAP;
        line.push_str(&cell);
        line.extend(std::iter::repeat_n(' ', padding));
    }
    line.truncate(line.trim_end().len());
    line
}

/// The text, cut with `…` if it is wider than `width`.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut left = width.saturating_sub(1);
    let mut cut: String = text
        .chars()
        .take_while(|c| {
            let wide = c.width().unwrap_or(0);
            let fits = wide <= left;
            left -= wide.min(left);
            fits
        })
        .collect();
    cut.push('…');
    cut
}

/// Wraps a text at spaces; a word wider than `width` gets its own line.
pub(super) fn fold(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.width() + 1 + word.width() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn columns_stand_below_one_another_whatever_the_script() {
        let rows = [text(&["1", "a@b", "spam"]), text(&["22", "用户@例子", ""])];
        let lines = lines(&text(&["No", "Whom", "Why"]), &rows, None);
        assert_eq!(
            lines,
            ["No  Whom       Why", "1   a@b        spam", "22  用户@例子"]
        );
    }

    #[test]
    fn the_widest_column_gives_way_to_the_terminal() {
        let rows = [text(&[
            "1",
            "a@example.org",
            "a very long reason that nobody reads",
        ])];
        let lines = lines(&text(&["No", "Whom", "Why"]), &rows, Some(34));
        assert_eq!(lines[1], "1   a@example.org  a very long re…");
        assert!(lines.iter().all(|line| line.width() <= 34));
        assert_eq!(cut("用户用户", 6), "用户…");
    }

    #[test]
    fn long_sentences_are_folded_at_spaces() {
        assert_eq!(fold("one two three", 7), ["one two", "three"]);
        assert_eq!(fold("unbreakable x", 4), ["unbreakable", "x"]);
        assert_eq!(fold("", 4), [""]);
    }
}

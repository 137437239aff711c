//! Compares the frames that arrive with those that were sent. Each frame that did not arrive as it
//! was sent is classed as lost, damaged or late; the others are compared as if nothing had
//! happened. `nitor demo` and `nitor board` use it.

use serde::Serialize;

/// Whether a frame that arrived is the one that was sent.
pub type Same = fn(sent: &[u8], arrived: &[u8]) -> bool;

/// The frames that are not as they should be, by their numbers, which begin at 1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Wrong {
    pub lost: Vec<usize>,
    pub damaged: Vec<usize>,
    /// Arrived after later ones.
    pub late: Vec<usize>,
    /// Frames that nobody sent.
    pub strange: usize,
    /// The last ones, which were not sent: nothing had come any more.
    pub unsent: usize,
    /// Of the first damaged frame: its bytes and those that arrived.
    #[serde(skip)]
    first: Option<(usize, usize, usize)>,
}

/// See the module.
pub struct Arrivals<'a> {
    frames: &'a [&'a [u8]],
    same: Same,
    /// All before it have arrived, or are among the wrong ones.
    next: usize,
    arrived: usize,
    /// Arrived since the last frame that was as sent.
    unknown: Vec<Vec<u8>>,
    wrong: Wrong,
}

impl<'a> Arrivals<'a> {
    /// Of `frames`, in the order in which they are sent.
    pub fn new(frames: &'a [&'a [u8]], same: Same) -> Self {
        let (unknown, wrong) = (Vec::new(), Wrong::default());
        Self { frames, same, next: 0, arrived: 0, unknown, wrong }
    }

    /// A frame has arrived; the first `sent` frames had been sent.
    pub fn take(&mut self, arrived: &[u8], sent: usize) {
        let matches = |&n: &usize| (self.same)(self.frames[n], arrived);
        if let Some(n) = (self.next..sent).find(matches) {
            self.pass(n);
            self.next = n + 1;
            self.arrived += 1;
        } else if let Some(at) = self.wrong.lost.iter().position(|n| matches(&(n - 1))) {
            self.wrong.late.push(self.wrong.lost.remove(at));
            self.arrived += 1;
        } else {
            self.unknown.push(arrived.to_vec());
        }
    }

    /// Frames before `n` do not come any more. What came in their place is them, damaged.
    fn pass(&mut self, n: usize) {
        let mut unknown = self.unknown.drain(..);
        for missing in self.next..n {
            match unknown.next() {
                None => self.wrong.lost.push(missing + 1),
                Some(arrived) => {
                    self.wrong.damaged.push(missing + 1);
                    let sent = self.frames[missing];
                    let differs = sent.iter().zip(&arrived).position(|(a, b)| a != b);
                    let at = differs.unwrap_or(sent.len().min(arrived.len()));
                    self.wrong.first.get_or_insert((sent.len(), arrived.len(), at));
                }
            }
        }
        self.wrong.strange += unknown.count();
    }

    /// Frames that have arrived as they were sent.
    pub fn good(&self) -> usize {
        self.arrived
    }

    /// Frames of `sent` that are not under way any more.
    pub fn passed(&self, sent: usize) -> usize {
        (self.next + self.unknown.len()).min(sent)
    }

    /// Nothing that was sent until now is still to come.
    pub fn give_up(&mut self, sent: usize) {
        self.pass(sent);
        self.next = sent;
    }

    /// What was wrong when the last of those that were sent had come or was given up.
    pub fn end(mut self, sent: usize) -> Wrong {
        self.give_up(sent);
        self.wrong.unsent = self.frames.len() - sent;
        self.wrong
    }
}

impl Wrong {
    pub fn is_nothing(&self) -> bool {
        *self == Wrong::default()
    }

    /// On one line.
    pub fn text(&self) -> String {
        let mut parts = vec![];
        if !self.lost.is_empty() {
            parts.push(format!("{} lost", were(&self.lost)));
        }
        if let Some((sent, arrived, at)) = self.first {
            let first = if self.damaged.len() > 1 { "the first: " } else { "" };
            let damaged = were(&self.damaged);
            parts.push(format!(
                "{damaged} damaged ({first}{sent} bytes sent, {arrived} arrived, different from byte {at} on)"
            ));
        }
        if !self.late.is_empty() {
            parts.push(format!("{} overtaken by later ones", were(&self.late)));
        }
        if self.strange > 0 {
            parts.push(format!("{} arrived that nobody sent", self.strange));
        }
        if self.unsent > 0 {
            parts.push(format!("the last {} were not sent: nothing came any more", self.unsent));
        }
        parts.join("; ")
    }
}

/// [1, 2, 3, 7] -> frames 1 to 3, 7 (4 in all) were
pub fn were(numbers: &[usize]) -> String {
    let verb = if numbers.len() == 1 { "was" } else { "were" };
    format!("{} {verb}", listed(numbers))
}

/// The ranges of ascending numbers that are shown; more are counted.
const SHOWN: usize = 8;

fn listed(numbers: &[usize]) -> String {
    let mut numbers = numbers.to_vec();
    numbers.sort_unstable();
    let mut ranges: Vec<(usize, usize)> = vec![];
    for &n in &numbers {
        match ranges.last_mut() {
            Some((_, to)) if *to + 1 == n => *to = n,
            _ => ranges.push((n, n)),
        }
    }
    let shown = ranges.iter().take(SHOWN).map(|&(from, to)| match to - from {
        0 => from.to_string(),
        _ => format!("{from} to {to}"),
    });
    let shown = shown.collect::<Vec<_>>().join(", ");
    match (numbers.len(), ranges.len()) {
        (1, _) => format!("frame {shown}"),
        (_, 1) => format!("frames {shown}"),
        (all, of) => {
            let more = if of > SHOWN { " and more" } else { "" };
            format!("frames {shown}{more} ({all} in all)")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(count: u8) -> Vec<Vec<u8>> {
        (1..=count).map(|n| vec![n; 60]).collect()
    }

    /// Sends all of `sent`, lets `arrived` arrive; what is wrong.
    fn compared(sent: &[Vec<u8>], arrived: &[Vec<u8>]) -> (usize, Wrong) {
        let sent: Vec<&[u8]> = sent.iter().map(Vec::as_slice).collect();
        let mut arrivals = Arrivals::new(&sent, |a, b| a == b);
        for frame in arrived {
            arrivals.take(frame, sent.len());
        }
        (arrivals.good(), arrivals.end(sent.len()))
    }

    #[test]
    fn lost_frames_are_named_and_the_rest_is_compared() {
        let sent = frames(20);
        let mut arrived = sent.clone();
        assert_eq!(compared(&sent, &arrived), (20, Wrong::default()));
        for n in [19, 9, 8, 7, 3] {
            arrived.remove(n);
        }
        let (good, wrong) = compared(&sent, &arrived);
        assert_eq!((good, &wrong.lost[..]), (15, &[4, 8, 9, 10, 20][..]));
        assert_eq!(wrong.text(), "frames 4, 8 to 10, 20 (5 in all) were lost");
    }

    #[test]
    fn damage_is_no_loss() {
        let sent = frames(5);
        let mut arrived = sent.clone();
        arrived[2][37] ^= 1;
        let (good, wrong) = compared(&sent, &arrived);
        assert_eq!((good, wrong.lost.len(), &wrong.damaged[..]), (4, 0, &[3][..]));
        let said = "frame 3 was damaged (60 bytes sent, 60 arrived, different from byte 37 on)";
        assert_eq!(wrong.text(), said);
        // The frame before it is lost. Of two possible places, the first counts as that of the
        // damaged frame.
        arrived.remove(1);
        let (good, wrong) = compared(&sent, &arrived);
        assert_eq!((good, wrong.lost.len(), wrong.damaged.len()), (3, 1, 1));
    }

    #[test]
    fn late_and_strange_frames_are_told_apart() {
        let sent = frames(6);
        let mut arrived = sent.clone();
        arrived.swap(1, 2);
        let (good, wrong) = compared(&sent, &arrived);
        assert_eq!((good, wrong.text().as_str()), (6, "frame 2 was overtaken by later ones"));
        // The end has a frame twice, and one that was never sent.
        let arrived = [&sent[..], &[sent[5].clone(), vec![0; 60]]].concat();
        let (good, wrong) = compared(&sent, &arrived);
        assert_eq!((good, wrong.text().as_str()), (6, "2 arrived that nobody sent"));
    }

    #[test]
    fn what_is_under_way_is_neither() {
        let sent = frames(4);
        let sent: Vec<&[u8]> = sent.iter().map(Vec::as_slice).collect();
        let mut arrivals = Arrivals::new(&sent, |a, b| a == b);
        arrivals.take(sent[1], 3);
        assert_eq!((arrivals.good(), arrivals.passed(3)), (1, 2));
        // That frame is not sent yet, so it cannot be the one.
        arrivals.take(sent[3], 3);
        assert_eq!((arrivals.good(), arrivals.passed(3)), (1, 3));
        let wrong = arrivals.end(3);
        let said = "frame 1 was lost; frame 3 was damaged (60 bytes sent, 60 arrived, different from byte 0 on); \
                    the last 1 were not sent: nothing came any more";
        assert_eq!(wrong.text(), said);
    }

    #[test]
    fn long_lists_are_short() {
        let odd: Vec<usize> = (0..100).map(|n| 2 * n + 1).collect();
        let said = were(&odd);
        assert_eq!(said, "frames 1, 3, 5, 7, 9, 11, 13, 15 and more (100 in all) were");
    }
}

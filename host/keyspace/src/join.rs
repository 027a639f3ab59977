//! Many questions asked at once.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use contract::Fault;

/// The answers in the order of the questions, which are asked without waiting for each other. The first failure ends
/// all.
pub async fn try_join_all<T, F>(questions: impl IntoIterator<Item = F>) -> Result<Vec<T>, Fault>
where
    F: Future<Output = Result<T, Fault>>,
{
    let mut asked = questions.into_iter().map(Question::asked).collect::<Vec<_>>();
    poll_fn(|context| {
        let mut waits = false;
        for question in &mut asked {
            let Question::Asked(future) = question else { continue };
            match future.as_mut().poll(context) {
                Poll::Ready(Ok(answer)) => *question = Question::Answered(answer),
                Poll::Ready(Err(fault)) => return Poll::Ready(Err(fault)),
                Poll::Pending => waits = true,
            }
        }
        if waits { Poll::Pending } else { Poll::Ready(Ok(())) }
    })
    .await?;
    let answers = asked.into_iter().filter_map(Question::answer);
    Ok(answers.collect())
}

enum Question<T, F> {
    Asked(Pin<Box<F>>),
    Answered(T),
}

impl<T, F> Question<T, F> {
    fn asked(future: F) -> Self {
        Self::Asked(Box::pin(future))
    }

    fn answer(self) -> Option<T> {
        match self {
            Self::Answered(answer) => Some(answer),
            Self::Asked(_) => None,
        }
    }
}

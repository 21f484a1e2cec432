/// Runs tasks, beside the actor's own jobs, on a loop's thread.
///
/// A task that mostly waits for the loop has its work there too, and no thread has to wake another for it. What it does
/// between its waits holds the loop up, so it must not block, and is to be short: microseconds.
///
/// An executor of its own, although the loop is one: a job that was handed to the actor's executor counts as isolated to the
/// actor, and each call of a function that is not would be a job of its own.
package final class LoopTasks: TaskExecutor {
  private let loop: LoopThread

  package init(on loop: LoopThread) {
    self.loop = loop
  }

  package func enqueue(_ job: consuming ExecutorJob) {
    loop.enqueue(.ofTask(UnownedJob(job), asUnownedTaskExecutor()))
  }
}

/// What a loop runs between two turns.
enum LoopJob {
  case ofActor(UnownedJob)
  case ofTask(UnownedJob, UnownedTaskExecutor)
}

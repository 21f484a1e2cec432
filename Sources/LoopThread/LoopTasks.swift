/// Runs tasks on a loop's thread, beside the actor's jobs.
///
/// A task that mostly waits for the loop works on the same thread, so no thread has to wake another for it.
/// Its work delays the loop, so it must not block and must be short: microseconds.
///
/// This is an executor of its own although the loop is one too. A job on the actor's executor counts as
/// isolated to the actor, and then each call of a nonisolated function would be a separate job.
package final class LoopTasks: TaskExecutor {
  private let loop: LoopThread

  package init(on loop: LoopThread) {
    self.loop = loop
  }

  package func enqueue(_ job: consuming ExecutorJob) {
    loop.enqueue(.ofTask(UnownedJob(job), asUnownedTaskExecutor()))
  }
}

/// A job that a loop runs between two turns.
enum LoopJob {
  case ofActor(UnownedJob)
  case ofTask(UnownedJob, UnownedTaskExecutor)
}

/// Which attempt of its request a task sends: 1 is the first. Nil where nobody would send it again.
enum SendAttempt {
  @TaskLocal static var current: Int?
}

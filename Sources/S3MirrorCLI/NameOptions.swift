import ArgumentParser
import S3Mirror

/// The classes of names. For each class, one option replaces the default list, and one adds to it.
struct NameOptions: ParsableArguments {
  @Option(
    help:
      "A pattern of commit markers: names that are published after everything else in their directory; replaces the default list (latest, .metadata, *.index.json, …)."
  )
  var commitLast: [String] = []

  @Option(help: "A further pattern of commit markers, besides the default list.")
  var addCommitLast: [String] = []

  @Option(
    help:
      "A pattern of names that are only appended to. Such a file may be published while a program has it open for writing; every other file waits for its close. Replaces the default list (*.log, *.jsonl, *.csv, …)."
  )
  var appendNames: [String] = []

  @Option(help: "A further pattern of names that are only appended to, besides the default list.")
  var addAppendNames: [String] = []

  @Option(
    help:
      "A pattern of in-progress marks: published before any change of what the mark speaks for, and removed after all of them; replaces the default list (*-unfinished)."
  )
  var inProgressNames: [String] = []

  @Option(help: "A further pattern of in-progress marks, besides the default list.")
  var addInProgressNames: [String] = []

  @Option(
    help:
      "A pattern of temporary names: what has one is published when it is renamed; replaces the default list (tmp-checkpoint-*, *.orbax-checkpoint-tmp*/, .*.swp, …)."
  )
  var temporaryNames: [String] = []

  @Option(help: "A further pattern of temporary names, besides the default list.")
  var addTemporaryNames: [String] = []

  func apply(to options: inout Options) {
    Self.take(commitLast, adding: addCommitLast, into: &options.commitLast)
    Self.take(appendNames, adding: addAppendNames, into: &options.appendNames)
    Self.take(inProgressNames, adding: addInProgressNames, into: &options.inProgressNames)
    Self.take(temporaryNames, adding: addTemporaryNames, into: &options.temporaryNames)
  }

  private static func take(_ names: [String], adding more: [String], into list: inout [String]) {
    if !names.isEmpty { list = names }
    list += more
  }
}

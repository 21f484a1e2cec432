import FoundationEssentials
import S3Mirror

/// A scope around a training loop: inputs are there when the loop begins, outputs go to S3 while it runs.
///
/// A run that was interrupted continues: `sync` first fetches the checkpoints that are not here.
func trainWithMirror(inputs: String, outputs: String) async throws {
  var options = Options()
  // An end that has not finished after ten minutes is cut short; the next run continues its uploads.
  options.exitTimeout = .seconds(600)
  options.observer = { event in
    if case .failed(_, _, let path, let reason) = event { print("not yet on S3: \(path): \(reason)") }
  }
  try await withMirror(
    [
      "data": .download(inputs),
      "checkpoints": .sync(outputs, local: "./checkpoints", interval: .seconds(60), delete: false),
    ],
    options: options
  ) { mirror in
    let inputs = try FileManager.default.contentsOfDirectory(atPath: mirror.data.string)
    let checkpoints = try mirror.checkpoints
    for step in 1...3 {
      let name = "step-\(step).txt"
      let text = "trained on \(inputs.count) files\n"
      try Data(text.utf8).write(to: URL(filePath: checkpoints.appending(name).string))
      // `latest` is a commit marker: it is published after what was closed before it.
      try Data(name.utf8).write(to: URL(filePath: checkpoints.appending("latest").string))
      // Returns when everything that was closed so far is on S3. Without it the next tick publishes.
      try await mirror.flush("checkpoints")
    }
  }
}

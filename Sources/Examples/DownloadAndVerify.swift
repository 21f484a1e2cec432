import S3Mirror

/// Fetches a prefix, and then compares every file with its object by content.
///
/// A download verifies each body before the file gets its name. The comparison afterwards also covers files that were
/// here already, which a download of equal size and time leaves alone.
func downloadAndVerify(_ remote: String, to directory: String) async throws {
  let download = MirrorSpec.download(remote, local: directory)
  try await withMirror(["data": download]) { mirror in
    let path = try mirror["data"]
    print("fetched to \(path)")
  }
  var options = Options()
  options.compare = .checksum
  let differences = try await planMirror(["data": download], options: options) { action in
    print("differs: \(action)")
  }
  guard differences.counts.isEmpty else {
    throw MirrorError(.incomplete, "\(directory) is not what \(remote) holds: \(differences)")
  }
  print("every file has the content of its object")
}

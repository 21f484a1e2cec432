import Glibc
import S3Client
import TestSupport

/// A training program: writes checkpoints, names the newest in `latest`, and removes old ones.
///
///     runs/latest           the name of the newest checkpoint
///     runs/ckpt-7/DONE      its files and their versions, a line each, and a last line `end`
///     runs/ckpt-7/shard-0
struct Trainer {
  let root: String
  let versions: VersionCounter
  let names: NameCalls
  private var checkpoints: [String] = []

  init(root: String, versions: VersionCounter, journal: NameJournal? = nil) {
    self.root = root + "/runs"
    self.versions = versions
    names = NameCalls(journal: journal)
    _ = names.makeDirectory(self.root)
  }

  mutating func step(_ number: Int, using random: inout SplitMix64) {
    let name = "ckpt-\(number)"
    // Half of them under a temporary name first, as many frameworks do.
    let place = random.below(2) == 0 ? root + "/tmp-\(number)" : root + "/" + name
    _ = names.makeDirectory(place)
    var manifest = ""
    for shard in 0..<(1 + random.below(4)) {
      let version = versions.next()
      let content = SelfDescribingContent.bytes(.whole, number: version, length: 100 + random.below(20_000))
      write(content, version, to: place + "/shard-\(shard)", pause: UInt32(random.below(3_000)))
      manifest += "shard-\(shard) \(version)\n"
    }
    write(Array((manifest + "end\n").utf8), to: place + "/DONE", pause: UInt32(random.below(3_000)))
    if place != root + "/" + name { _ = names.rename(place, to: root + "/" + name) }
    // In place, so that half of it can be seen.
    write(Array("\(name)\nend\n".utf8), to: root + "/latest", pause: UInt32(random.below(8_000)))
    checkpoints.append(name)
    if checkpoints.count > 2 { remove(checkpoints.removeFirst()) }
  }

  private func write(_ bytes: [UInt8], _ version: UInt64? = nil, to path: String, pause: UInt32) {
    guard let descriptor = names.open(path, O_TRUNC) else { return }
    if let version { names.begins(version, on: descriptor) }
    let half = bytes.count / 2
    for range in [0..<half, half..<bytes.count] {
      _ = bytes[range].withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      usleep(pause)
    }
    close(descriptor)
  }

  private func remove(_ name: String) {
    for file in ["DONE"] + (0..<4).map({ "shard-\($0)" }) {
      _ = names.unlink(root + "/" + name + "/" + file)
    }
    _ = names.removeDirectory(root + "/" + name)
  }
}

/// Reads a bucket as an evaluation job does: follows `latest` to a checkpoint and its `DONE` to every file.
struct MarkerReader {
  let store: any ObjectStore
  let prefix: String

  /// What is no marker.
  static func isSelfDescribing(_ path: String) -> Bool {
    !path.hasSuffix("/DONE") && !path.hasSuffix("/latest")
  }

  enum Finding: Sendable, Hashable {
    /// Everything that was named was there.
    case whole(String)
    /// No checkpoint yet, or it was replaced by another while it was read.
    case passedOver
    case broken(String)
  }

  func read() async throws -> Finding {
    guard let latest = try await text("latest") else { return .passedOver }
    guard latest.hasSuffix("\nend\n"), let name = latest.split(separator: "\n").first else {
      return .broken("latest is half written: \(latest)")
    }
    let problem = try await problem(in: String(name))
    guard let problem else { return .whole(String(name)) }
    // Old checkpoints are removed, but never while `latest` names them.
    return try await text("latest") == latest ? .broken(problem) : .passedOver
  }

  private func problem(in name: String) async throws -> String? {
    guard let manifest = try await text(name + "/DONE") else { return "\(name)/DONE is missing" }
    guard manifest.hasSuffix("end\n") else { return "\(name)/DONE is half written: \(manifest)" }
    for line in manifest.split(separator: "\n").dropLast() {
      let words = line.split(separator: " ")
      guard words.count == 2, let version = UInt64(words[1]) else {
        return "\(name)/DONE has the line \(line)"
      }
      guard let bytes = try await bytes(name + "/" + words[0]) else {
        return "\(name)/\(words[0]) is missing"
      }
      let verdict = SelfDescribingContent.verdict(on: bytes)
      guard verdict == .whole(version) else {
        return "\(name)/\(words[0]) is \(verdict), not version \(version)"
      }
    }
    return nil
  }

  private func text(_ name: String) async throws -> String? {
    try await bytes(name).map { String(decoding: $0, as: UTF8.self) }
  }

  private func bytes(_ name: String) async throws -> [UInt8]? {
    do {
      return try await store.send(GetObject(key: prefix + "runs/" + name)).body
    } catch let error as S3Error where error.isNotFound {
      return nil
    }
  }
}

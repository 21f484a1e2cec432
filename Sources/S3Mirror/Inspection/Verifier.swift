import LocalTree
import LoopThread
import MirrorModel
import S3Client
import Transfers

/// One path that differs between the two sides, or may differ.
package struct VerifiedDifference: Sendable, Hashable {
  package enum Kind: String, Sendable, Hashable {
    /// The file has no object.
    case missing
    /// The object has no file.
    case extra
    case size
    case content
    /// The sizes are equal, but S3 stores nothing to compare the contents with, or one side could not be
    /// read.
    case unproved
  }

  package var kind: Kind
  package var path: String
}

/// The result of a verification.
package struct VerifySummary: Sendable, Hashable {
  package var files = 0
  package var differences = 0
  /// Local parts that could not be read, and names that cannot be keys.
  package var failures: [MirrorError.Failure] = []

  package var isEqual: Bool { differences == 0 && failures.isEmpty }
}

/// Compares every file with its object: first the sizes, then the checksums that S3 stores, then, if asked,
/// the contents.
package struct Verifier: Sendable {
  package enum Reading: Sendable, Hashable {
    /// Compare only checksums that S3 stores.
    case never
    /// Read the objects without a checksum, range by range.
    case whereNeeded
  }

  let surveyor: Surveyor
  let readers: WorkerThreads
  let reading: Reading
  let width: Int

  /// The size of one ranged read in bytes; the same as in a download.
  private static let rangeBytes: Int64 = 16 << 20

  nonisolated(nonsending) func verify(
    _ each: (VerifiedDifference) throws -> Void
  ) async throws -> VerifySummary {
    var summary = VerifySummary()
    func tell(_ kind: VerifiedDifference.Kind, _ path: RelativePath) throws {
      summary.differences += 1
      try each(VerifiedDifference(kind: kind, path: path.string))
    }
    let (survey, extras) = try await surveyor.survey { differences in
      let verdicts = await concurrentEach(differences, width: width) { difference in
        (difference.path, await verdict(on: difference))
      }
      for (path, kind) in verdicts.sorted(by: { $0.0 < $1.0 }) {
        if let kind { try tell(kind, path) }
      }
    }
    try await extras.entries.forEachBatch(of: 1_000) { entries in
      for entry in entries where DirectoryMarker(entry.path) == nil {
        // The file of this object may exist in a part of the tree that could not be read.
        if case .unseen = survey.reasonToKeep(entry.path) {
          try tell(.unproved, entry.path)
        } else {
          try tell(.extra, entry.path)
        }
      }
    }
    for failure in survey.refusals { try tell(.extra, RelativePath(failure.path)) }
    summary.files = survey.localFiles
    summary.failures = survey.localFailures
    return summary
  }

  private func verdict(on difference: Difference) async -> VerifiedDifference.Kind? {
    switch difference {
    case .copy(_, .absent, _), .marker: return .missing
    case .copy: return .size
    case .suspect(let file, let object):
      do {
        return try await compare(file, with: object)
      } catch {
        return .unproved
      }
    }
  }

  /// Nil if the contents are the same.
  private func compare(_ local: LocalEntry, with object: RemoteObject) async throws -> VerifiedDifference
    .Kind?
  {
    let (root, symlinks) = (surveyor.root, surveyor.symlinks)
    if local.isLink {
      guard let text = try await readers.run({ try root.linkText(at: local.path) }) else { return .unproved }
      let head = try await surveyor.store.send(
        HeadObject(key: surveyor.mapping.key(for: local.path)))
      return head.isLink(text) ? nil : .content
    }
    guard let file = try await readers.run({ try root.open(local.path, symlinks: symlinks) }) else {
      return .unproved
    }
    guard file.stamp.size == object.byteCount else { return .size }
    if let md5 = object.possibleMD5, try await readers.run({ try md5Hexadecimal(of: file) }) == md5 {
      return nil
    }
    let key = surveyor.mapping.key(for: local.path)
    let head = try await surveyor.store.send(HeadObject(key: key))
    guard head.byteCount == file.stamp.size else { return .size }
    if let stored = head.fullObjectCRC32 {
      let crc = try await readers.run { try checksum(of: file, from: 0, byteCount: file.stamp.size) }
      return crc == stored ? nil : .content
    }
    if let tag = CompositeTag(head), try await readers.run({ try isContent(file, of: tag) }) { return nil }
    switch reading {
    case .never: return .unproved
    case .whereNeeded: return try await isRead(key, equalTo: file, etag: head.etag) ? nil : .content
    }
  }

  private func isRead(_ key: String, equalTo file: LocalFile, etag: String) async throws -> Bool {
    var offset: Int64 = 0
    while offset < file.stamp.size {
      let start = offset
      let byteCount = min(Self.rangeBytes, file.stamp.size - start)
      let sink = ChecksumSink()
      _ = try await surveyor.store.send(
        GetObject(
          key: key, range: start...(start + byteCount - 1), ifMatch: etag.isEmpty ? nil : etag, sink: sink))
      let own = try await readers.run { try checksum(of: file, from: start, byteCount: byteCount) }
      guard sink.received.byteCount == byteCount, sink.received.crc == own else { return false }
      offset += byteCount
    }
    return true
  }
}

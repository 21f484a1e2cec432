import LocalTree
import LoopThread
import MirrorModel

/// Uploads of files that change faster than they can be sent. Each further read uses a private copy, so that
/// some version is published.
extension Uploader {
  /// Reads of one file in one call. Copying takes a hundredth to a tenth of the time of sending, so a file
  /// that changes during three copies in a row hardly ever rests.
  private static let readings = 3

  /// No copy can be made.
  private struct NoCopy: Error {
    var reason: String
  }

  func uploadPersistently(_ wanted: Wanted, _ beforePublication: @escaping @Sendable () async throws -> Void)
    async throws -> UploadReceipt
  {
    var lacksCopyBecause: String?
    for reading in 1...Self.readings {
      let source = try await openSource(wanted)
      do {
        let isRestless = restless.contains(wanted.path)
        // A file that is held in memory needs no copy.
        if isRestless, !isReadAtOnce(source) {
          do {
            return noted(try await publishCopy(of: source, wanted, beforePublication), wanted)
          } catch let failure as NoCopy {
            lacksCopyBecause = failure.reason
            // The file itself was already tried.
            if reading > 1 { break }
          }
        }
        return noted(try await publish(source, wanted, beforePublication), wanted)
      } catch UploadAbandoned.changed {
        restless.note(source.check.change, to: wanted.path)
        if lacksCopyBecause != nil { break }
      }
    }
    throw UploadAbandoned.restless(
      restless.restlessness(of: wanted.path, lacksCopyBecause: lacksCopyBecause))
  }

  private func noted(_ receipt: UploadReceipt, _ wanted: Wanted) -> UploadReceipt {
    if !receipt.isSuperseded { restless.forget(wanted.path) }
    return receipt
  }

  /// Whether the file is proved whole, in memory, before the first byte is sent.
  private func isReadAtOnce(_ source: Source) -> Bool {
    source.file.stamp.size <= settings.singleThreshold && resources.fitsInMemory(source.file.stamp.size)
  }

  private func publishCopy(
    of source: Source, _ wanted: Wanted, _ beforePublication: @escaping @Sendable () async throws -> Void
  ) async throws -> UploadReceipt {
    let byteCount = source.file.stamp.size
    guard byteCount <= resources.copyBytes else {
      throw NoCopy(reason: "it has \(byteCount) bytes, and at most \(resources.copyBytes) are copied")
    }
    return try await resources.copies.withPermit(byteCount) {
      let copy = try await copy(source)
      var copied = source
      copied.file = copy.file
      copied.proof = try await prove(source, wanted, on: nil) {
        try await resources.readers.run { try md5Hexadecimal(of: copy.file) }
      }
      return try await publish(copied, wanted, beforePublication)
    }
  }

  /// 64 MiB: one copy occupies a reader thread for some hundredths of a second before the next task has its
  /// turn.
  private static let stretchBytes: Int64 = 64 << 20

  private func copy(_ source: Source) async throws -> PrivateCopy {
    let file = source.file
    do {
      if let clone = try await resources.readers.run({ PrivateCopy(cloning: file) }) { return clone }
      let directory = resources.copyDirectory
      let copy = try await resources.readers.run { try PrivateCopy(of: file, in: directory) }
      var offset: Int64 = 0
      while offset < file.stamp.size {
        try Task.checkCancellation()
        let (start, byteCount) = (offset, min(Self.stretchBytes, file.stamp.size - offset))
        let isWhole = try await resources.readers.run { try copy.copy(at: start, byteCount: byteCount) }
        guard isWhole else { throw UploadAbandoned.changed }
        offset += byteCount
      }
      return copy
    } catch let error as TreeError where error.operation == .createCopy {
      throw NoCopy(reason: error.description)
    }
  }
}

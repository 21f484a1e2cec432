// Transfers: one file up or down.
//
// Glossary
//
// single upload     one PutObject that carries the whole file
// multipart upload  CreateMultipartUpload, UploadPart for each part, CompleteMultipartUpload
// slot              the right to have one request with a payload in flight; `maxWorkers` of them exist
// part budget       the bytes of memory that payloads may hold at one time
// stretch           bytes that one request carries: a part, or a whole small file
// proof             why the bytes that were read are one whole version of the file (PUB-2)
// vigil             the watch for a close of the file during one reading
// restless file     a file that changed during several uploads in a row
// private copy      a copy of such a file, without a name, that is sent instead of it (PUB-15)
// held version      a whole version of a small file, kept in memory (PUB-13)
// pending upload    a multipart upload on S3 that is neither completed nor aborted
// settlement        what becomes of the pending uploads at the end of a run (XFER-3)
// sweep             to abort pending uploads that got no part for days
// range, ledger     a piece of a download, and the record of the pieces that have arrived
// receipt           what an upload came to: ETag, checksum, proof, parts

/// How a file of a given size goes up: in one request or in parts.
package enum UploadPlan: Sendable, Hashable {
  case single
  case multipart(partBytes: Int64, partCount: Int)

  /// S3's own numbers, from "Amazon S3 multipart upload limits" in the user guide.
  package enum Limit {
    /// Parts of one upload.
    package static let parts = 10_000
    /// 5 MiB: every part but the last is at least this large.
    package static let smallestPart: Int64 = 5 << 20
    /// 5 GiB.
    package static let largestPart: Int64 = 5 << 30
    /// 5 GiB: one PutObject or CopyObject.
    package static let largestSingle: Int64 = 5 << 30
    /// 48.8 TiB: 10,000 parts of 5 GiB.
    package static let largestObject: Int64 = largestPart * Int64(parts)
  }

  /// - Parameters:
  ///   - byteCount: the file's size.
  ///   - threshold: the largest file that goes in one request, in bytes.
  ///   - partBytes: the part size to start from; grown in whole MiB until 10,000 parts carry the file.
  /// - Throws: `UploadPlanError.tooLarge` past S3's largest object.
  package init(byteCount: Int64, threshold: Int64, partBytes: Int64) throws(UploadPlanError) {
    guard byteCount <= Limit.largestObject else { throw .tooLarge(byteCount) }
    if byteCount <= min(threshold, Limit.largestSingle) {
      self = .single
      return
    }
    var size = min(max(partBytes, Limit.smallestPart), Limit.largestPart)
    let needed = (byteCount + Int64(Limit.parts) - 1) / Int64(Limit.parts)
    if needed > size {
      let mebibyte: Int64 = 1 << 20
      size = min((needed + mebibyte - 1) / mebibyte * mebibyte, Limit.largestPart)
    }
    self = .multipart(partBytes: size, partCount: Int((byteCount + size - 1) / size))
  }
}

package enum UploadPlanError: Error, Sendable, Hashable, CustomStringConvertible {
  case tooLarge(Int64)

  package var description: String {
    switch self {
    case .tooLarge(let bytes):
      "\(bytes) bytes are more than S3's largest object, \(UploadPlan.Limit.largestObject) bytes"
    }
  }
}

// Transfers: the upload or download of one file.
//
// Glossary
//
// single upload     one PutObject that carries the whole file
// multipart upload  CreateMultipartUpload, UploadPart for each part, CompleteMultipartUpload
// slot              the right to have one request with a payload in flight; there are `maxWorkers` slots
// part budget       the bytes of memory that payloads may hold at one time
// stretch           bytes that one request carries: a part, or a whole small file
// composite tag     the digest of a multipart object, computed over the digests of its parts
// delta             an upload in parts of which the server copies some from the object that is replaced
// block             a stretch of an object whose CRC-32 and MD5 are known; as large as a part
// proof             why the bytes that were read are one whole version of the file (PUB-2)
// probe             a check whether a process has the file open for writing
// vigil             the watch for a close of the file during one read
// restless file     a file that changed during several uploads in a row
// private copy      a copy of such a file, without a name, that is sent in its place (PUB-15)
// held version      a whole version of a small file, kept in memory (PUB-13)
// staged            said of a multipart upload whose bytes are all on the server; only the completion is
//                   missing
// pending upload    a multipart upload on S3 that is neither completed nor aborted
// settlement        what happens to the pending uploads at the end of a run (XFER-3)
// sweep             to abort pending uploads that got no part for days
// range, ledger     a piece of a download, and the record of the pieces that have arrived
// receipt           the result of an upload: ETag, checksum, proof, parts

/// How a file of a given size is uploaded: in one request or in parts.
package enum UploadPlan: Sendable, Hashable {
  case single
  case multipart(partBytes: Int64, partCount: Int)

  /// S3's limits, from "Amazon S3 multipart upload limits" in the user guide.
  package enum Limit {
    /// The largest number of parts of one upload.
    package static let parts = 10_000
    /// 5 MiB. Every part but the last must have at least this size.
    package static let smallestPart: Int64 = 5 << 20
    /// 5 GiB: the largest part.
    package static let largestPart: Int64 = 5 << 30
    /// 5 GiB: one PutObject or CopyObject.
    package static let largestSingle: Int64 = 5 << 30
    /// 48.8 TiB: 10,000 parts of 5 GiB.
    package static let largestObject: Int64 = largestPart * Int64(parts)
  }

  /// - Parameters:
  ///   - byteCount: the file's size.
  ///   - threshold: the largest file for one request, in bytes.
  ///   - partBytes: the smallest part size; it grows in whole MiB until 10,000 parts suffice for the file.
  /// - Throws: `UploadPlanError.tooLarge` above S3's largest object.
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

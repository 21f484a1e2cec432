/// The file's mtime as object metadata: seconds since 1970 with nanoseconds as a decimal fraction, as rclone writes
/// `x-amz-meta-mtime` (rclone docs, S3, "Modification times").
package enum ModificationTime {
  package static let metadataName = "mtime"

  package static func text(nanoseconds: Int64) -> String {
    let billion: Int64 = 1_000_000_000
    let (magnitude, sign) = (nanoseconds.magnitude, nanoseconds < 0 ? "-" : "")
    let fraction = String(magnitude % UInt64(billion))
    let padded = String(repeating: "0", count: 9 - fraction.count) + fraction
    return "\(sign)\(magnitude / UInt64(billion)).\(padded)"
  }

  /// Nil for text that is no such number.
  package static func nanoseconds(from text: String) -> Int64? {
    let isNegative = text.utf8.first == UInt8(ascii: "-")
    let parts = text.dropFirst(isNegative ? 1 : 0).split(
      separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
    guard let whole = parts.first.flatMap({ Int64($0) }), whole >= 0 else { return nil }
    var fraction: Int64 = 0
    if parts.count == 2 {
      let digits = parts[1].prefix(9)
      guard let value = Int64(digits + String(repeating: "0", count: 9 - digits.count)), value >= 0 else {
        return nil
      }
      fraction = value
    }
    let (scaled, overflow) = whole.multipliedReportingOverflow(by: 1_000_000_000)
    guard !overflow else { return nil }
    let total = scaled &+ fraction
    return isNegative ? -total : total
  }
}

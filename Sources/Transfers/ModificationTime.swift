/// A file's mtime as object metadata: seconds since 1970 with nanoseconds as a decimal fraction, in rclone's
/// format of `x-amz-meta-mtime` (rclone docs, S3, "Modification times").
package enum ModificationTime {
  package static let metadataName = "mtime"

  package static func text(nanoseconds: Int64) -> String {
    let billion: Int64 = 1_000_000_000
    let (magnitude, sign) = (nanoseconds.magnitude, nanoseconds < 0 ? "-" : "")
    let fraction = String(magnitude % UInt64(billion))
    let padded = String(repeating: "0", count: 9 - fraction.count) + fraction
    return "\(sign)\(magnitude / UInt64(billion)).\(padded)"
  }

  /// Nil for text that is no such number, or whose value does not fit into 64 bits.
  package static func nanoseconds(from text: String) -> Int64? {
    let isNegative = text.utf8.first == UInt8(ascii: "-")
    let parts = text.utf8.dropFirst(isNegative ? 1 : 0).split(
      separator: UInt8(ascii: "."), maxSplits: 1, omittingEmptySubsequences: false)
    // Int64's own parser would accept a sign, even in the fraction.
    let areDigits = parts.allSatisfy { $0.allSatisfy((UInt8(ascii: "0")...UInt8(ascii: "9")).contains) }
    guard areDigits, let whole = parts.first.flatMap({ Int64(Substring($0)) }) else { return nil }
    var fraction: Int64 = 0
    if parts.count == 2 {
      let digits = String(Substring(parts[1].prefix(9)))
      fraction = Int64(digits + String(repeating: "0", count: 9 - digits.utf8.count)) ?? 0
    }
    let (scaled, isTooLong) = whole.multipliedReportingOverflow(by: 1_000_000_000)
    let (total, isTooLarge) = scaled.addingReportingOverflow(fraction)
    guard !isTooLong, !isTooLarge else { return nil }
    return isNegative ? -total : total
  }
}

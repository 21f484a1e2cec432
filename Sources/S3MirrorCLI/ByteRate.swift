import ArgumentParser

/// A number of bytes per second as an argument, with `K`, `M` or `G` for KiB, MiB and GiB.
struct ByteRate: ExpressibleByArgument {
  var bytesPerSecond: Int64

  init?(argument: String) {
    let shifts: [Character: Int] = ["k": 10, "m": 20, "g": 30]
    let shift = argument.lowercased().last.flatMap { shifts[$0] }
    let digits = shift == nil ? argument[...] : argument.dropLast()
    guard digits.utf8.allSatisfy((UInt8(ascii: "0")...UInt8(ascii: "9")).contains), let number = Int64(digits)
    else { return nil }
    let (bytes, isTooLarge) = number.multipliedReportingOverflow(by: 1 << (shift ?? 0))
    guard !isTooLarge, bytes > 0 else { return nil }
    bytesPerSecond = bytes
  }
}

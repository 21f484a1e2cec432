/// A number of bytes as text for users, in decimal units.
package struct ByteCount: CustomStringConvertible {
  let bytes: Int64

  package init(_ bytes: Int64) {
    self.bytes = bytes
  }

  package var description: String {
    let units = ["kB", "MB", "GB", "TB"]
    guard bytes >= 1000 else { return "\(bytes) B" }
    var value = Double(bytes) / 1000
    var unit = 0
    while value >= 999.95, unit < units.count - 1 {
      value /= 1000
      unit += 1
    }
    return "\((value * 10).rounded() / 10) \(units[unit])"
  }
}

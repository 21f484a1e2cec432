/// An instant in the form of signatures: whole seconds of UTC in ISO 8601's basic form.
///
/// It is made from a number of seconds, because this module reads no clock. It is formatted without
/// Foundation, whose formatters cost more than the signature.
package struct SigningTime: Sendable, Hashable {
  package let secondsSince1970: Int64
  /// `20130524T000000Z`
  package let timestamp: String
  /// `20130524`, the day for which a signing key is valid.
  package let date: String

  package init(secondsSince1970: Int64) {
    self.secondsSince1970 = secondsSince1970
    let days = secondsSince1970.flooredQuotient(86_400)
    let seconds = secondsSince1970 - days * 86_400
    let (year, month, day) = Self.civilDate(daysSince1970: days)
    var digits: [UInt8] = []
    digits.reserveCapacity(16)
    digits.append(decimal: year, width: 4)
    digits.append(decimal: month, width: 2)
    digits.append(decimal: day, width: 2)
    date = String(decoding: digits, as: UTF8.self)
    digits.append(UInt8(ascii: "T"))
    digits.append(decimal: seconds / 3600, width: 2)
    digits.append(decimal: seconds / 60 % 60, width: 2)
    digits.append(decimal: seconds % 60, width: 2)
    digits.append(UInt8(ascii: "Z"))
    timestamp = String(decoding: digits, as: UTF8.self)
  }

  /// The Gregorian date of a day. Years begin on 1 March here, so that the leap day is the last day of a
  /// year.
  private static func civilDate(daysSince1970: Int64) -> (year: Int64, month: Int64, day: Int64) {
    // Day 0 is 0000-03-01, 719,468 days before 1970. 400 years always have 146,097 days.
    let shifted = daysSince1970 + 719_468
    let era = shifted.flooredQuotient(146_097)
    let dayOfEra = shifted - era * 146_097
    // Without the leap days (every 1,461st, but not every 36,525th, and again the 146,097th) years have 365
    // days.
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    // From March on, every group of five months has 153 days: 31, 30, 31, 30, 31.
    let monthFromMarch = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
    let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
    return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
  }
}

extension Int64 {
  fileprivate func flooredQuotient(_ divisor: Int64) -> Int64 {
    let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
    return remainder < 0 ? quotient - 1 : quotient
  }
}

extension [UInt8] {
  /// Appends the number's last `width` decimal digits.
  fileprivate mutating func append(decimal number: Int64, width: Int) {
    var divisor: Int64 = 1
    for _ in 1..<width { divisor *= 10 }
    while divisor > 0 {
      append(UInt8(ascii: "0") + UInt8(number / divisor % 10))
      divisor /= 10
    }
  }
}

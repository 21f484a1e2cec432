import Glibc

/// A moment of the wall clock in UTC with milliseconds, for log lines.
package struct UTCTime: Sendable, Hashable, Comparable {
  /// Milliseconds since 1970-01-01T00:00:00Z without leap seconds (POSIX time).
  package var milliseconds: Int64

  package init(milliseconds: Int64) {
    self.milliseconds = milliseconds
  }

  /// The present time, clock_gettime(2).
  @Sendable package static func now() -> UTCTime {
    var time = timespec()
    // The call fails only for a clock that does not exist, and CLOCK_REALTIME always exists.
    clock_gettime(CLOCK_REALTIME, &time)
    return UTCTime(milliseconds: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
  }

  package var day: UTCDay { UTCDay(number: milliseconds.flooredQuotient(by: Self.dayMilliseconds)) }

  package func adding(seconds: Int64) -> UTCTime { UTCTime(milliseconds: milliseconds + seconds * 1000) }

  package static func < (left: UTCTime, right: UTCTime) -> Bool { left.milliseconds < right.milliseconds }

  static let dayMilliseconds: Int64 = 86_400_000
}

/// A UTC day, counted from 1970-01-01.
package struct UTCDay: Sendable, Hashable, Comparable {
  package var number: Int64

  package init(number: Int64) {
    self.number = number
  }

  /// A day of the proleptic Gregorian calendar; `nil` for one that does not exist.
  package init?(year: Int64, month: Int64, day: Int64) {
    guard (1...12).contains(month), (1...31).contains(day), (0...9999).contains(year) else { return nil }
    // Years start in March here, so that the leap day is the last day of its year (Hinnant, days_from_civil).
    let shifted = month <= 2 ? year - 1 : year
    let era = shifted.flooredQuotient(by: 400)
    let yearOfEra = shifted - era * 400
    let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
    let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
    number = era * 146_097 + dayOfEra - 719_468
    guard civil == (year, month, day) else { return nil }
  }

  /// Year, month and day, each from 1 (Hinnant, civil_from_days).
  package var civil: (year: Int64, month: Int64, day: Int64) {
    let shifted = number + 719_468
    let era = shifted.flooredQuotient(by: 146_097)
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let monthFromMarch = (5 * dayOfYear + 2) / 153
    let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    return (year, month, dayOfYear - (153 * monthFromMarch + 2) / 5 + 1)
  }

  package var start: UTCTime { UTCTime(milliseconds: number * UTCTime.dayMilliseconds) }

  package static func < (left: UTCDay, right: UTCDay) -> Bool { left.number < right.number }
}

extension UTCDay: CustomStringConvertible {
  /// `2025-11-22`.
  package var description: String {
    let date = civil
    return timeText([(date.year, 4, "-"), (date.month, 2, "-"), (date.day, 2, nil)])
  }
}

extension UTCTime: CustomStringConvertible {
  /// RFC 3339 in UTC with milliseconds: `2025-11-22T15:02:42.007Z`.
  package var description: String {
    let (date, rest) = (day.civil, milliseconds - day.start.milliseconds)
    return timeText([
      (date.year, 4, "-"), (date.month, 2, "-"), (date.day, 2, "T"), (rest / 3_600_000, 2, ":"),
      (rest / 60_000 % 60, 2, ":"), (rest / 1000 % 60, 2, "."), (rest % 1000, 3, "Z"),
    ])
  }

  /// The time of day as `150242`.
  package var compactTimeOfDay: String {
    let seconds = (milliseconds - day.start.milliseconds) / 1000
    return timeText([(seconds / 3600, 2, nil), (seconds / 60 % 60, 2, nil), (seconds % 60, 2, nil)])
  }

  /// Parses RFC 3339, section 5.6 (any fraction, `Z` or an offset), or a date alone, which means its first
  /// moment.
  ///
  /// A leap second, `:60`, counts as the second after it, as in POSIX time.
  package init?(rfc3339 text: String) {
    var rest = text.utf8[...]
    guard let year = rest.takeNumber(digits: 4), rest.take("-"), let month = rest.takeNumber(digits: 2),
      rest.take("-"), let day = rest.takeNumber(digits: 2),
      let date = UTCDay(year: year, month: month, day: day)
    else { return nil }
    milliseconds = date.start.milliseconds
    if rest.isEmpty { return }
    guard rest.take("T") || rest.take("t") || rest.take(" "), let hour = rest.takeNumber(digits: 2),
      hour < 24,
      rest.take(":"), let minute = rest.takeNumber(digits: 2), minute < 60,
      rest.take(":"), let second = rest.takeNumber(digits: 2), second <= 60
    else { return nil }
    milliseconds += (hour * 3600 + minute * 60 + second) * 1000
    if rest.take(".") {
      let digits = rest.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
      guard !digits.isEmpty else { return nil }
      // Digits after the millisecond are ignored.
      for (weight, digit) in zip([100, 10, 1] as [Int64], digits) {
        milliseconds += Int64(digit - UInt8(ascii: "0")) * weight
      }
      rest = rest[digits.endIndex...]
    }
    if rest.take("Z") || rest.take("z") {
      guard rest.isEmpty else { return nil }
      return
    }
    let sign: Int64 = rest.take("+") ? 1 : -1
    guard sign == 1 || rest.take("-"), let hours = rest.takeNumber(digits: 2), hours < 24, rest.take(":"),
      let minutes = rest.takeNumber(digits: 2), minutes < 60, rest.isEmpty
    else { return nil }
    milliseconds -= sign * (hours * 60 + minutes) * 60_000
  }
}

extension UTCTime: Codable {
  package init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    let text = try container.decode(String.self)
    guard let time = UTCTime(rfc3339: text) else {
      throw DecodingError.dataCorruptedError(in: container, debugDescription: "not an RFC 3339 time: \(text)")
    }
    self = time
  }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}

extension Int64 {
  /// The quotient rounded down, also for negative numbers, where Swift's `/` rounds towards zero.
  fileprivate func flooredQuotient(by divisor: Int64) -> Int64 {
    let quotient = self / divisor
    return self % divisor < 0 ? quotient - 1 : quotient
  }
}

/// Numbers with leading zeros, each with what follows it. A log has a time in every line.
private func timeText(_ fields: [(number: Int64, width: Int, end: Unicode.Scalar?)]) -> String {
  var text: [UInt8] = []
  text.reserveCapacity(32)
  for (number, width, end) in fields {
    if number < 0 || number >= powersOfTen[width] {
      // A year before 0 or after 9999.
      text.append(contentsOf: String(number).utf8)
    } else {
      for place in (0..<width).reversed() {
        text.append(UInt8(ascii: "0") + UInt8(number / powersOfTen[place] % 10))
      }
    }
    if let end { text.append(UInt8(ascii: end)) }
  }
  return String(decoding: text, as: UTF8.self)
}

private let powersOfTen: [Int64] = [1, 10, 100, 1_000, 10_000]

extension Substring.UTF8View {
  fileprivate mutating func take(_ expected: Unicode.Scalar) -> Bool {
    guard first == UInt8(ascii: expected) else { return false }
    removeFirst()
    return true
  }

  /// Takes exactly this many decimal digits.
  fileprivate mutating func takeNumber(digits: Int) -> Int64? {
    let taken = prefix(digits)
    guard taken.count == digits else { return nil }
    var value: Int64 = 0
    for byte in taken {
      guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
      value = value * 10 + Int64(byte - UInt8(ascii: "0"))
    }
    self = self[taken.endIndex...]
    return value
  }
}

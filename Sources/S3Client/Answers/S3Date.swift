/// Conversions between S3's two formats of an instant and nanoseconds since 1970-01-01 UTC.
///
/// Listings have ISO 8601 (`2026-01-31T12:00:00.000Z`), headers have HTTP dates (RFC 9110 §5.6.7). A page of
/// a listing has a thousand dates, so Foundation's formatters would be too slow.
package enum S3Date {
  /// Accepts any number of digits after the second, and `Z` or an offset such as `+02:00`.
  package static func nanoseconds(iso8601 text: String) -> Int64? {
    let bytes = Array(text.utf8)
    return nanoseconds(iso8601: bytes, in: bytes.indices)
  }

  static func nanoseconds(iso8601 bytes: [UInt8], in range: Range<Int>) -> Int64? {
    var digits = DigitReader(bytes, range)
    guard let year = digits.number(4), digits.skip("-"), let month = digits.number(2), digits.skip("-"),
      let day = digits.number(2), digits.skip("T") || digits.skip(" "), let hour = digits.number(2),
      digits.skip(":"), let minute = digits.number(2), digits.skip(":"), let second = digits.number(2)
    else { return nil }
    let fraction = digits.skip(".") ? digits.fraction() : 0
    guard let offset = digits.zone(), digits.isAtEnd,
      let seconds = seconds(year, month, day, hour, minute, second)
    else { return nil }
    return checkedNanoseconds(seconds - offset, plus: fraction)
  }

  /// Accepts IMF-fixdate (`Sun, 06 Nov 1994 08:49:37 GMT`) and the two obsolete forms that RFC 9110 requires
  /// recipients to accept.
  package static func nanoseconds(httpDate text: String) -> Int64? {
    let bytes = Array(text.utf8)
    var fields = DigitReader(bytes, bytes.indices)
    fields.skipWord()
    // asctime's form has the month first and the year last, without a zone: `Nov  6 08:49:37 1994`.
    let isASCTime = !fields.isAtDigit
    var month = isASCTime ? fields.month() : nil
    guard let day = fields.separatedNumber() else { return nil }
    if !isASCTime { month = fields.month() }
    var year = isASCTime ? nil : fields.year()
    guard let hour = fields.separatedNumber(), fields.skip(":"), let minute = fields.number(),
      fields.skip(":"), let second = fields.number()
    else { return nil }
    if isASCTime { year = fields.year() }
    guard let month, let year, isASCTime ? fields.isAtEnd : fields.skipUniversalTime(),
      let seconds = seconds(year, month, day, hour, minute, second)
    else { return nil }
    return checkedNanoseconds(seconds, plus: 0)
  }

  /// `Sun, 06 Nov 1994 08:49:37 GMT`. Fractions are cut off, as S3 does.
  package static func httpDate(nanoseconds: Int64) -> String {
    let instant = CivilInstant(nanoseconds: nanoseconds)
    let weekday = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][Int((instant.days % 7 + 7) % 7)]
    return
      "\(weekday), \(padded(instant.day, 2)) \(months[Int(instant.month) - 1]) \(padded(instant.year, 4)) "
      + "\(padded(instant.hour, 2)):\(padded(instant.minute, 2)):\(padded(instant.second, 2)) GMT"
  }

  /// `2026-01-31T12:00:00.000Z`.
  package static func iso8601(nanoseconds: Int64) -> String {
    let instant = CivilInstant(nanoseconds: nanoseconds)
    return "\(padded(instant.year, 4))-\(padded(instant.month, 2))-\(padded(instant.day, 2))T"
      + "\(padded(instant.hour, 2)):\(padded(instant.minute, 2)):\(padded(instant.second, 2))"
      + ".\(padded(instant.milliseconds, 3))Z"
  }

  fileprivate static let months = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
  ]

  private static func padded(_ number: Int64, _ width: Int) -> String {
    let digits = String(number)
    return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
  }

  /// Days are counted from March, so that the leap day is the last day of a year (in the proleptic Gregorian
  /// calendar, 400 years have 146,097 days). A leap second counts as the second before it.
  private static func seconds(
    _ year: Int64, _ month: Int64, _ day: Int64, _ hour: Int64, _ minute: Int64, _ second: Int64
  ) -> Int64? {
    guard (1...12).contains(month), (1...31).contains(day), (0...23).contains(hour),
      (0...59).contains(minute),
      (0...60).contains(second), (0...9999).contains(year)
    else { return nil }
    let shifted = month <= 2 ? year + 399 : year + 400
    let yearOfEra = shifted % 400
    let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
    let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
    let days = (shifted / 400 - 1) * 146_097 + dayOfEra - 719_468
    return days * 86_400 + hour * 3_600 + minute * 60 + min(second, 59)
  }

  /// 1970 to 2200: S3 began in 2006, and the difference of two instants in this range fits into 64 bits of
  /// nanoseconds.
  private static let credible: Range<Int64> = 0..<7_258_118_400

  private static func checkedNanoseconds(_ seconds: Int64, plus fraction: Int64) -> Int64? {
    credible.contains(seconds) ? seconds * 1_000_000_000 + fraction : nil
  }
}

/// An instant as calendar fields (UTC).
private struct CivilInstant {
  /// Since 1970-01-01, a Thursday.
  var days: Int64
  var year: Int64
  var month: Int64
  var day: Int64
  var hour: Int64
  var minute: Int64
  var second: Int64
  var milliseconds: Int64

  init(nanoseconds: Int64) {
    let seconds = Self.floorDivide(nanoseconds, 1_000_000_000)
    milliseconds = (nanoseconds - seconds * 1_000_000_000) / 1_000_000
    days = Self.floorDivide(seconds, 86_400)
    let inDay = seconds - days * 86_400
    (hour, minute, second) = (inDay / 3_600, inDay / 60 % 60, inDay % 60)
    let shifted = days + 719_468
    let era = Self.floorDivide(shifted, 146_097)
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let monthFromMarch = (5 * dayOfYear + 2) / 153
    day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
    month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
    year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
  }

  private static func floorDivide(_ number: Int64, _ divisor: Int64) -> Int64 {
    number >= 0 ? number / divisor : -((divisor - 1 - number) / divisor)
  }
}

/// Reads the fields of a date one by one.
private struct DigitReader {
  private let bytes: [UInt8]
  private var position: Int
  private let end: Int

  init(_ bytes: [UInt8], _ range: Range<Int>) {
    self.bytes = bytes
    position = range.lowerBound
    end = range.upperBound
  }

  var isAtEnd: Bool { position == end }

  mutating func skip(_ character: Unicode.Scalar) -> Bool {
    guard position < end, bytes[position] == UInt8(ascii: character) else { return false }
    position += 1
    return true
  }

  mutating func number(_ width: Int) -> Int64? {
    guard position + width <= end else { return nil }
    var value: Int64 = 0
    for index in position..<position + width {
      guard Self.isDigit(bytes[index]) else { return nil }
      value = value * 10 + Int64(bytes[index] - 0x30)
    }
    position += width
    return value
  }

  /// In nanoseconds. Digits after the ninth are ignored.
  mutating func fraction() -> Int64 {
    var (value, unit): (Int64, Int64) = (0, 100_000_000)
    while isAtDigit {
      value += Int64(bytes[position] - 0x30) * unit
      unit /= 10
      position += 1
    }
    return value
  }

  /// Seconds east of UTC.
  mutating func zone() -> Int64? {
    if skip("Z") || skip("z") { return 0 }
    let sign: Int64
    if skip("+") { sign = 1 } else if skip("-") { sign = -1 } else { return nil }
    guard let hours = number(2) else { return nil }
    _ = skip(":")
    guard let minutes = number(2) else { return nil }
    return sign * (hours * 3_600 + minutes * 60)
  }
}

/// The fields of HTTP dates: words and numbers between spaces, commas and hyphens.
extension DigitReader {
  var isAtDigit: Bool { position < end && Self.isDigit(bytes[position]) }

  /// Passes the day of the week, which nothing depends on, and what separates it from the next field.
  mutating func skipWord() {
    skipSeparators()
    while position < end, !Self.isSeparator(bytes[position]) { position += 1 }
    skipSeparators()
  }

  /// One to nine digits.
  mutating func number() -> Int64? {
    let start = position
    while isAtDigit { position += 1 }
    let width = position - start
    position = start
    return (1...9).contains(width) ? number(width) : nil
  }

  mutating func separatedNumber() -> Int64? {
    skipSeparators()
    return number()
  }

  /// A two-digit year is RFC 850's: below 70 it belongs to this century.
  mutating func year() -> Int64? {
    skipSeparators()
    let start = position
    guard let year = number() else { return nil }
    return position - start == 2 ? year + (year < 70 ? 2000 : 1900) : year
  }

  /// From 1 on.
  mutating func month() -> Int64? {
    skipSeparators()
    guard let month = S3Date.months.firstIndex(where: { skip(word: $0) }) else { return nil }
    return Int64(month) + 1
  }

  mutating func skipUniversalTime() -> Bool {
    skipSeparators()
    return (skip(word: "GMT") || skip(word: "UTC") || skip(word: "+0000")) && isAtEnd
  }

  private mutating func skip(word: String) -> Bool {
    let letters = word.utf8
    guard bytes[position..<end].starts(with: letters) else { return false }
    position += letters.count
    return true
  }

  private mutating func skipSeparators() {
    while position < end, Self.isSeparator(bytes[position]) { position += 1 }
  }

  private static func isSeparator(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: " ") || byte == UInt8(ascii: ",") || byte == UInt8(ascii: "-")
  }

  private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }
}

import Testing

@testable import TransferLog

@Suite struct UTCTimeTests {
  // From date(1): date -u -d @SECONDS +%FT%TZ
  private static let known: [(Int64, String)] = [
    (0, "1970-01-01T00:00:00.000Z"), (-1, "1969-12-31T23:59:59.999Z"),
    (951_782_400_000, "2000-02-29T00:00:00.000Z"), (951_868_799_999, "2000-02-29T23:59:59.999Z"),
    (1_763_823_762_007, "2025-11-22T15:02:42.007Z"), (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
  ]

  @Test(arguments: known) func `a time reads and writes as RFC 3339`(milliseconds: Int64, text: String) {
    #expect(UTCTime(milliseconds: milliseconds).description == text)
    #expect(UTCTime(rfc3339: text)?.milliseconds == milliseconds)
  }

  @Test(
    arguments: [
      ("2025-11-22", 1_763_769_600_000), ("2025-11-22T15:02:42Z", 1_763_823_762_000),
      ("2025-11-22 16:02:42.0079+01:00", 1_763_823_762_007),
      ("2025-11-22t09:32:42.5-05:30", 1_763_823_762_500),
      ("2016-12-31T23:59:60Z", 1_483_228_800_000),
    ] as [(String, Int64)])
  func `other spellings of a time are understood`(text: String, milliseconds: Int64) {
    #expect(UTCTime(rfc3339: text)?.milliseconds == milliseconds)
  }

  @Test(arguments: [
    "", "now", "2025-11", "2025-02-29", "2100-02-29", "2025-13-01", "2025-11-22T", "2025-11-22T24:00:00Z",
    "2025-11-22T15:02:42", "2025-11-22T15:02:42.Z", "2025-11-22T15:02:42Zulu", "2025-11-22T15:02:42+0100",
    "+025-11-22", "2025-11-22T15:60:00Z",
  ])
  func `what is no time is refused`(text: String) {
    #expect(UTCTime(rfc3339: text) == nil)
  }

  @Test func `every day of four centuries has its own date and finds back`() {
    var previous = ""
    for number in Int64(-36_525)...109_575 {
      let day = UTCDay(number: number)
      let date = day.civil
      #expect(UTCDay(year: date.year, month: date.month, day: date.day) == day)
      #expect(day.description > previous)
      previous = day.description
    }
  }
}

import Testing
import Transfers

@Suite struct UploadPlanTests {
  private static let mebibyte: Int64 = 1 << 20
  private static let tebibyte: Int64 = 1 << 40

  @Test func `the limits are those of the user guide`() {
    #expect(UploadPlan.Limit.parts == 10_000)
    #expect(UploadPlan.Limit.smallestPart == 5_242_880)
    #expect(UploadPlan.Limit.largestPart == 5_368_709_120)
    #expect(UploadPlan.Limit.largestSingle == 5_368_709_120)
    #expect(UploadPlan.Limit.largestObject == 53_687_091_200_000)
  }

  @Test(
    arguments: [
      (0, UploadPlan.single),
      (16 * mebibyte, .single),
      (16 * mebibyte + 1, .multipart(partBytes: 16 * mebibyte, partCount: 2)),
      (32 * mebibyte, .multipart(partBytes: 16 * mebibyte, partCount: 2)),
      (32 * mebibyte + 1, .multipart(partBytes: 16 * mebibyte, partCount: 3)),
      (160_000 * mebibyte, .multipart(partBytes: 16 * mebibyte, partCount: 10_000)),
      (160_000 * mebibyte + 1, .multipart(partBytes: 17 * mebibyte, partCount: 9_412)),
      (5 * tebibyte, .multipart(partBytes: 525 * mebibyte, partCount: 9_987)),
      (UploadPlan.Limit.largestObject, .multipart(partBytes: 5_120 * mebibyte, partCount: 10_000)),
    ] as [(Int64, UploadPlan)])
  func `sizes become requests`(byteCount: Int64, plan: UploadPlan) throws {
    let found = try UploadPlan(
      byteCount: byteCount, threshold: 16 * Self.mebibyte, partBytes: 16 * Self.mebibyte)
    #expect(found == plan)
  }

  @Test func `part sizes stay within S3's, whatever is asked for`() throws {
    let small = try UploadPlan(byteCount: 12 * Self.mebibyte, threshold: 0, partBytes: 1)
    #expect(small == .multipart(partBytes: 5 * Self.mebibyte, partCount: 3))
    let large = try UploadPlan(byteCount: 6 << 30, threshold: .max, partBytes: .max)
    #expect(large == .multipart(partBytes: 5 << 30, partCount: 2))
  }

  @Test func `more than S3's largest object is refused`() {
    let tooLarge = UploadPlan.Limit.largestObject + 1
    #expect(throws: UploadPlanError.tooLarge(tooLarge)) {
      try UploadPlan(byteCount: tooLarge, threshold: 0, partBytes: 0)
    }
  }
}

@Suite struct ModificationTimeTests {
  @Test(
    arguments: [
      (0, "0.000000000"),
      (1_700_000_000_123_456_789, "1700000000.123456789"),
      (5, "0.000000005"),
      (-1_500_000_000, "-1.500000000"),
    ] as [(Int64, String)])
  func `times are written as rclone writes them and read back`(nanoseconds: Int64, text: String) {
    #expect(ModificationTime.text(nanoseconds: nanoseconds) == text)
    #expect(ModificationTime.nanoseconds(from: text) == nanoseconds)
  }

  @Test(
    arguments: [
      ("1700000000", 1_700_000_000_000_000_000),
      ("1.5", 1_500_000_000),
      ("1.1234567891", 1_123_456_789),
      ("-0.5", -500_000_000),
      ("1.", 1_000_000_000),
    ] as [(String, Int64)])
  func `other tools' forms are read`(text: String, nanoseconds: Int64) {
    #expect(ModificationTime.nanoseconds(from: text) == nanoseconds)
  }

  @Test(arguments: [
    "", "-", "x", "1.x", "1.-5", "--1", "99999999999999", "9223372036.999999999", "1.+5", "+1",
  ])
  func `what is no time is nil`(text: String) {
    #expect(ModificationTime.nanoseconds(from: text) == nil)
  }

  @Test func `the earliest time that 64 bits hold is written`() {
    #expect(ModificationTime.text(nanoseconds: .min) == "-9223372036.854775808")
  }
}

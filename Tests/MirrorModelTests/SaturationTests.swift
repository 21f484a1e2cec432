import MirrorModel
import Testing

/// Numbers that no file has must not end the process.
@Suite struct SaturationTests {
  @Test func `sums and differences stop at the ends`() {
    #expect(Int64.max.addingSaturated(1) == .max)
    #expect(Int64.min.addingSaturated(-1) == .min)
    #expect(Int64.max.addingSaturated(.min) == -1)
    #expect(Int64.min.subtractingSaturated(1) == .min)
    #expect(Int64.max.subtractingSaturated(-1) == .max)
    #expect(Int64(0).subtractingSaturated(.min) == .max)
    #expect(Int64(7).subtractingSaturated(3) == 4)
  }

  @Test(arguments: [
    (Double.infinity, Int64.max), (-.infinity, .min), (.nan, 0), (1e300, .max), (9.3e18, .max),
    (-9.3e18, .min),
    (2.5, 3), (-1.2, -1),
  ])
  func `a rate or a time of any size can be shown`(number: Double, expected: Int64) {
    #expect(Int64(saturating: number) == expected)
  }

  @Test(arguments: [
    (Int64(0), Int64(5), Int64(0)), (1, 5, 1), (5, 5, 1), (6, 5, 2), (.max, 10_000, .max / 10_000 + 1),
    (.max, 1, .max),
  ])
  func `pieces are counted without a detour past the largest number`(
    byteCount: Int64, size: Int64, count: Int64
  ) {
    #expect(byteCount.pieces(of: size) == count)
  }

  @Test(arguments: [Int64.min, -1, 0, 1, .max])
  func `comparing dates of any age does not trap`(date: Int64) {
    for stamp in [Int64.min, 0, .max] {
      let file = FileStamp(device: 1, inode: 1, size: .max, modified: stamp, changed: stamp)
      let object = RemoteObject(byteCount: .max, etag: "", lastModified: date)
      for skew in [Int64.min, 0, .max] {
        let comparison = Comparison(serverSkew: skew)
        _ = comparison.upload(local: file, remote: object)
        _ = comparison.isLater(file, than: object)
      }
      #expect(file.timeUntilTrusted(at: date) <= .milliseconds(20))
    }
  }
}

import Testing
import Transfers

@Suite struct SettingsTests {
  @Test func `the defaults are valid`() throws {
    try UploadSettings().validate()
    try DownloadSettings().validate()
  }

  @Test(arguments: [(5 << 20) - 1, (5 << 30) + 1, 0, -1] as [Int64])
  func `a part size that S3 refuses is named`(partBytes: Int64) throws {
    var settings = UploadSettings()
    settings.partBytes = partBytes
    let error = #expect(throws: TransferSettingsError.self) { try settings.validate() }
    #expect(error?.description == "the part size is \(partBytes) bytes; S3 takes parts from 5 MiB to 5 GiB")
  }

  @Test func `a threshold past one request and a negative time are refused`() {
    var settings = UploadSettings()
    settings.singleThreshold = (5 << 30) + 1
    #expect(throws: TransferSettingsError.self) { try settings.validate() }
    settings = UploadSettings()
    settings.settle = .seconds(-1)
    #expect(throws: TransferSettingsError.self) { try settings.validate() }
    settings = UploadSettings()
    settings.staleUploadAge = .seconds(-1)
    #expect(throws: TransferSettingsError.self) { try settings.validate() }
    settings.staleUploadAge = nil
    #expect(throws: Never.self) { try settings.validate() }
  }

  @Test func `a range of nothing is refused`() {
    var settings = DownloadSettings()
    settings.rangeBytes = 0
    #expect(throws: TransferSettingsError.self) { try settings.validate() }
  }
}

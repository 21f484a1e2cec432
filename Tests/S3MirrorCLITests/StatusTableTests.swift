import Foundation
import S3Mirror
import Testing

@testable import S3MirrorCLI

/// What `status` prints for people.
@Suite struct StatusTableTests {
  @Test(arguments: [("entering", "unknown"), ("running", "0 s"), ("ending", "0 s")])
  func `until the entry is over nobody knows what a crash would cost`(_ phase: String, _ point: String) throws
  {
    let state = try JSONDecoder().decode(
      MirrorState.self,
      from: Data(
        """
        {"mirror": "m", "pid": 1, "phase": "\(phase)", "uploads": [{"name": "u", "remote": "s3://b/u", "local": "/u",
         "waitingFiles": 0, "waitingBytes": 0, "inFlightFiles": 0, "inFlightBytes": 0, "publishedFiles": 0,
         "publishedBytes": 0, "failedFiles": 0, "failures": [], "withheldDeletes": 0, "drift": 0}]}
        """.utf8))
    #expect(StatusTable.lines([state]).last?.hasSuffix("  \(point)") == true)
  }
}

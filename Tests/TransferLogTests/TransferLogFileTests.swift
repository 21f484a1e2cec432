import SystemPackage
import Testing

@testable import TransferLog

@Suite struct TransferLogFileTests {
  private static func file(_ mirror: String, sequence: Int = 1) throws -> TransferLogFile {
    let day = try #require(UTCDay(year: 2025, month: 11, day: 22))
    return TransferLogFile(mirror: mirror, day: day, start: "150242", processID: 4711, sequence: sequence)
  }

  @Test func `a name tells mirror, day, start and process`() throws {
    #expect(try Self.file("checkpoints").name == "checkpoints-2025-11-22-150242-4711.jsonl.gz")
    #expect(try Self.file("checkpoints", sequence: 3).name == "checkpoints-2025-11-22-150242-4711-3.jsonl.gz")
  }

  @Test(
    arguments: [
      "run", "a-b", "2025-11-22", "run-2025-11-22-150242-4711", "x-150242-1", "s3://bucket/out", "-rf",
      ".hidden", "",
      "caf\u{e9}", "%41", String(repeating: "é/", count: 200),
    ], [1, 2, 123_456])
  func `a name reads back, whatever the mirror is called`(mirror: String, sequence: Int) throws {
    let file = try Self.file(mirror, sequence: sequence)
    #expect(TransferLogFile(name: file.name) == file)
    #expect(file.belongs(to: mirror))
    // NAME_MAX
    #expect(file.name.utf8.count <= 255)
    #expect(file.name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "/") })
    #expect(file.name.utf8.first != UInt8(ascii: "-") && file.name.utf8.first != UInt8(ascii: "."))
  }

  @Test func `no two mirrors share a spelling`() throws {
    let long = String(repeating: "n", count: 200)
    let mirrors = ["a/b", "a_b", "a%2Fb", "A/B", "caf\u{e9}", "cafe\u{301}", "", "%", long + "1", long + "2"]
    #expect(Set(try mirrors.map { try Self.file($0).name }).count == mirrors.count)
  }

  @Test(arguments: [
    "run.jsonl.gz", "run-2025-11-22-150242-4711.jsonl", "run-2025-11-32-150242-4711.jsonl.gz",
    "run-2025-11-22-1502-4711.jsonl.gz", "run-2025-11-22-150242-x.jsonl.gz",
    "-2025-11-22-150242-4711.jsonl.gz",
    "run-2025-11-22-150242-4711-1.jsonl.gz", "run-2025-11-22-150242-04711.jsonl.gz", "notes.txt",
    "\u{e9}-2025-11-22-150242-4711.jsonl.gz",
    "2025-11-22-150242-4711.jsonl.gz", "run-2025-11-22-150242-4711-2-2.jsonl.gz",
    "run-2025-11-22-150242-99999999999.jsonl.gz",
  ])
  func `other names are not ours`(name: String) {
    #expect(TransferLogFile(name: name) == nil)
  }

  @Test func `logs lie in the state directory if it is absolute, else below home`() {
    let home: FilePath = "/home/u"
    #expect(defaultLogDirectory(environment: ["XDG_STATE_HOME": "/st"], home: home) == "/st/s3mirror/log")
    for environment in [[:], ["XDG_STATE_HOME": ""], ["XDG_STATE_HOME": "rel"]] {
      #expect(
        defaultLogDirectory(environment: environment, home: home) == "/home/u/.local/state/s3mirror/log")
    }
  }
}

import Testing

@testable import S3Mirror

/// Options that make no sense are refused before anything happens.
@Suite struct OptionsTests {
  struct Fault: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var set: @Sendable (inout Options) -> Void

    init(_ name: String, _ set: @escaping @Sendable (inout Options) -> Void) {
      testDescription = name
      self.set = set
    }
  }

  @Test(arguments: [
    Fault("maxWorkers") { $0.maxWorkers = 0 },
    Fault("maxWorkers") { $0.maxWorkers = .fixed(.max) },
    Fault("partBytes") { $0.partBytes = 5 << 20 - 1 },
    Fault("partBytes") { $0.partBytes = 5 << 30 + 1 },
    Fault("multipartThreshold") { $0.multipartThreshold = -1 },
    Fault("multipartThreshold") { $0.multipartThreshold = 5 << 30 + 1 },
    Fault("maxAttempts") { $0.maxAttempts = 0 },
    Fault("maxDelete") { $0.maxDelete = .limit(-1) },
    Fault("settle") { $0.settle = .seconds(-1) },
    Fault("openFileGrace") { $0.openFileGrace = .seconds(-1) },
    Fault("exitTimeout") { $0.exitTimeout = .seconds(Int64.max) },
    Fault("suspectWithin") { $0.suspectWithin = .seconds(-1) },
    Fault("commitLast") { $0.commitLast = ["["] },
    Fault("appendNames") { $0.appendNames = ["["] },
    Fault("inProgressNames") { $0.inProgressNames = ["["] },
    Fault("temporaryNames") { $0.temporaryNames = ["["] },
    Fault("keepLast") {
      $0.group = Options.Group(name: "job", member: 0, members: 2)
      $0.keepLast = 2
    },
  ])
  func `an option out of its range is named`(_ fault: Fault) {
    var options = Options()
    fault.set(&options)
    let error = #expect(throws: MirrorError.self) { _ = try MirrorScope(options: options) }
    #expect(error?.kind == .invalid)
    #expect(error?.message.hasPrefix(fault.testDescription) == true)
  }

  @Test func `an object is suspected within 15 minutes of its file, or within the time that is set`() {
    var options = Options()
    #expect(options.comparison.suspicionWindow == 900 * 1_000_000_000)
    options.suspectWithin = .milliseconds(1_500)
    #expect(options.comparison.suspicionWindow == 1_500_000_000)
    options.suspectWithin = .seconds(Options.longestSeconds)
    #expect(options.comparison.suspicionWindow == Options.longestSeconds * 1_000_000_000)
  }

  @Test func `the defaults are within their ranges`() throws {
    try Options().check()
  }
}

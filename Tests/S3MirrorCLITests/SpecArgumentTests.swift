import S3Mirror
import TestSupport
import Testing

@testable import S3MirrorCLI

/// `name=remote[,local=PATH][,interval=SECONDS|none][,delete=true|false]…`
@Suite struct SpecArgumentTests {
  struct Reading: Sendable, CustomTestStringConvertible {
    var text: String
    var name: String
    var remote: String
    var local: String?
    var interval = SpecArgument.Interval.unset
    var delete: Bool?
    var exclude: [String] = []
    var include: [String] = []

    var testDescription: String { text }
  }

  @Test(arguments: [
    Reading(text: "a=s3://b/k", name: "a", remote: "s3://b/k"),
    Reading(text: "a=s3://b/k,local=x", name: "a", remote: "s3://b/k", local: "x"),
    Reading(text: "a=s3://b/k=v", name: "a", remote: "s3://b/k=v"),
    Reading(text: "a=s3://b/one\\,two", name: "a", remote: "s3://b/one,two"),
    Reading(text: "a=s3://b/x\\,other=1,local=y", name: "a", remote: "s3://b/x,other=1", local: "y"),
    // Two backslashes before a comma are one that is text; elsewhere each is.
    Reading(text: "a=s3://b/x\\\\,local=y", name: "a", remote: "s3://b/x\\", local: "y"),
    Reading(text: "a=s3://b/x\\\\\\,y", name: "a", remote: "s3://b/x\\,y"),
    Reading(text: "a=s3://b/x\\\\y\\\\", name: "a", remote: "s3://b/x\\\\y\\\\"),
    Reading(text: "a=s3://b/x\\,local=y", name: "a", remote: "s3://b/x,local=y"),
    Reading(text: "a=s3://b/x\\y", name: "a", remote: "s3://b/x\\y"),
    Reading(text: "a=s3://b/k,local=x\\,y", name: "a", remote: "s3://b/k", local: "x,y"),
    Reading(text: "a=s3://b/k,local=x\\,delete=true", name: "a", remote: "s3://b/k", local: "x,delete=true"),
    Reading(text: "a=s3://b/k,interval=none", name: "a", remote: "s3://b/k", interval: .none),
    Reading(text: "a=s3://b/k,interval=0", name: "a", remote: "s3://b/k", interval: .seconds(0)),
    Reading(text: "a=s3://b/k,interval=0.5", name: "a", remote: "s3://b/k", interval: .seconds(0.5)),
    Reading(text: "a=s3://b/k,delete=true", name: "a", remote: "s3://b/k", delete: true),
    Reading(
      text: "a=s3://b/k,delete=false,local=l", name: "a", remote: "s3://b/k", local: "l", delete: false),
    Reading(
      text: "a=s3://b/k,exclude=*.tmp,exclude=/x,include=*.pt", name: "a", remote: "s3://b/k",
      exclude: ["*.tmp", "/x"], include: ["*.pt"]),
    Reading(text: "name with space=/local path", name: "name with space", remote: "/local path"),
    // A combining mark right after the signs that the syntax is made of.
    Reading(text: "a=\u{301}b\\,\u{301}c", name: "a", remote: "\u{301}b,\u{301}c"),
    Reading(text: "a=r,local=\u{301}x", name: "a", remote: "r", local: "\u{301}x"),
  ])
  func `a spec is read`(_ expected: Reading) throws {
    let spec = try SpecArgument(parsing: expected.text)
    #expect(Array(spec.name.utf8) == Array(expected.name.utf8))
    #expect(Array(spec.remote.utf8) == Array(expected.remote.utf8))
    #expect(spec.local.map { Array($0.utf8) } == expected.local.map { Array($0.utf8) })
    #expect(spec.interval == expected.interval)
    #expect(spec.delete == expected.delete)
    #expect(spec.exclude == expected.exclude)
    #expect(spec.include == expected.include)
  }

  @Test(arguments: [
    "", "a", "=s3://b/k", "a=", "a=,local=x", "a=s3://b/k,interval=", "a=s3://b/k,interval=-1",
    "a=s3://b/k,interval=nan", "a=s3://b/k,interval=inf", "a=s3://b/k,interval=1e300",
    "a=s3://b/k,interval=soon", "a=s3://b/k,delete=maybe", "a=s3://b/k,delete=", "a=s3://b/k,local=",
    "a=s3://b/k,exclude=", "a=s3://b/k,", "a=s3://b/k,local=x,local=y", "a=s3://b/k,local=x,",
    "s3://b/k,local=./x", "s3://b/k=./x",
  ])
  func `what is no spec is refused`(_ text: String) {
    #expect(throws: (any Error).self) { _ = try SpecArgument(parsing: text) }
  }

  @Test(arguments: [
    ("a=s3://b/k,local=./out,intervall=5", "did you mean interval=?"),
    ("a=s3://b/k,local=./out,interval", "did you mean interval=?"),
    ("a=s3://b/k, delete=true", "did you mean delete=?"),
    ("a=s3://b/k,Local=x", "did you mean local=?"),
    ("a=s3://b/k,excludes=*.tmp", "did you mean exclude=?"),
    ("a=s3://b/k,include=*.{a,b}", "the keys are local=, interval=, delete=, exclude=, include="),
    ("a=s3://b/one,two", "is written \\,"),
    ("a=s3://b/one,=two", "is no key"),
    ("a=s3://b/k,\u{301}local=x", "is no key"),
  ])
  func `what follows a comma and is no key is refused with the nearest key`(_ text: String, _ part: String) {
    let error = #expect(throws: (any Error).self) { _ = try SpecArgument(parsing: text) }
    let message = error.map { "\($0)" } ?? ""
    #expect(message.contains(part), "\(message)")
  }

  @Test func `a spec made of any texts is read back`() throws {
    var random = SplitMix64(seed: 9)
    let signs: [Character] = ["\\", ",", "=", "a", "\u{301}", "/", " ", "\n"]
    func text() -> String {
      String((0..<(1 + random.below(12))).map { _ in signs[random.below(signs.count)] })
    }
    for _ in 0..<20_000 {
      let (remote, local, pattern) = (text(), text(), text())
      let fields = SpecFields.joined([remote, "local=" + local, "exclude=" + pattern])
      let spec = try SpecArgument(parsing: "name=" + fields)
      let isWhole =
        spec.remote.utf8.elementsEqual(remote.utf8) && spec.local?.utf8.elementsEqual(local.utf8) == true
        && spec.exclude.map { Array($0.utf8) } == [Array(pattern.utf8)]
      #expect(isWhole, "\(fields.debugDescription)")
      if !isWhole { return }
    }
  }

  @Test func `whatever is given is refused or read, and what is read is read back`() throws {
    let seeds = [
      "a=s3://b/k,local=x,interval=none,delete=true,exclude=*.tmp,include=*.pt",
      "a=s3://p@bucket/x\\,y\\\\,interval=0.5", "caf\u{e9}=~/x,local=\u{301}\u{202e}\u{0}",
      "a=/,exclude=\\\\",
    ]
    var read = 0
    try Fuzzer("spec", corpus: seeds, tokens: [",", "\\", "=", ",local=", ",delete=false", "\u{301}"]).run {
      bytes in
      let text = String(decoding: bytes, as: UTF8.self)
      let spec: SpecArgument
      do {
        spec = try SpecArgument(parsing: text)
      } catch {
        if "\(error)".isEmpty { throw Fuzzer.Complaint("refused without a reason") }
        return
      }
      read += 1
      if spec.name.isEmpty || spec.remote.isEmpty || spec.local?.isEmpty == true {
        throw Fuzzer.Complaint("read with nothing in it: \(spec)")
      }
      guard try SpecArgument(parsing: spec.text) == spec else {
        throw Fuzzer.Complaint("read back as another")
      }
    }
    #expect(read > 100, "nothing but refusals shows nothing: \(read)")
  }

  @Test func `the command line deletes only when asked to`() throws {
    #expect(try SpecArgument(parsing: "a=s3://b/k").upload() == .upload("s3://b/k", delete: false))
    #expect(
      try SpecArgument(parsing: "a=s3://b/k,delete=true,interval=none").sync()
        == .sync("s3://b/k", interval: nil, delete: true))
    #expect(try SpecArgument(parsing: "a=s3://b/k").download() == .download("s3://b/k"))
  }

  @Test func `a download takes no interval`() {
    #expect(throws: (any Error).self) { _ = try SpecArgument(parsing: "a=s3://b/k,interval=1").download() }
  }

  @Test(arguments: [
    ("data", "S3MIRROR_DATA"), ("my-data.v2", "S3MIRROR_MY_DATA_V2"), ("caf\u{e9}", "S3MIRROR_CAF_"),
    ("a b", "S3MIRROR_A_B"),
  ])
  func `names become variables`(_ name: String, _ variable: String) {
    #expect(RunCommand.variable(for: name) == variable)
  }
}

extension SpecArgument {
  /// A text that is read as this.
  fileprivate var text: String {
    var fields = [remote]
    if let local { fields.append("local=" + local) }
    switch interval {
    case .unset: break
    case .none: fields.append("interval=none")
    case .seconds(let seconds): fields.append("interval=\(seconds)")
    }
    if let delete { fields.append("delete=\(delete)") }
    fields += exclude.map { "exclude=" + $0 } + include.map { "include=" + $0 }
    return name + "=" + SpecFields.joined(fields)
  }
}

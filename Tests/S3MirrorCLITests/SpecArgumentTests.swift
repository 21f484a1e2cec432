import S3Mirror
import Testing

@testable import S3MirrorCLI

/// SPEC 8: `name=remote[,local=PATH][,interval=SECONDS|none][,delete=true|false]…`
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
    Reading(text: "a=s3://b/one,two", name: "a", remote: "s3://b/one,two"),
    Reading(text: "a=s3://b/x,other=1,local=y", name: "a", remote: "s3://b/x,other=1", local: "y"),
    Reading(text: "a=s3://b/x\\,local=y", name: "a", remote: "s3://b/x,local=y"),
    Reading(text: "a=s3://b/x\\y", name: "a", remote: "s3://b/x\\y"),
    Reading(text: "a=s3://b/k,local=x,y", name: "a", remote: "s3://b/k", local: "x,y"),
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
    Reading(text: "a=\u{301}b,\u{301}c", name: "a", remote: "\u{301}b,\u{301}c"),
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
    "a=s3://b/k,interval=soon", "a=s3://b/k,delete=maybe", "a=s3://b/k,delete=",
  ])
  func `what is no spec is refused`(_ text: String) {
    #expect(throws: (any Error).self) { _ = try SpecArgument(parsing: text) }
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

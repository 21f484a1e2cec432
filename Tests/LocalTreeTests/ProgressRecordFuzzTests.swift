import Foundation
import MirrorModel
import TestSupport
import Testing

@testable import LocalTree

/// What lies behind a partial file's content may be anything: a torn write, another program's bytes, a bad disk's.
@Suite struct ProgressRecordFuzzTests {
  private static let content = Array("0123456789".utf8)
  private static let payloads: [[UInt8]] = [[], [7], Array(0...99)]

  private let tree: TemporaryDirectory
  private let root: TreeRoot

  init() throws {
    tree = try TemporaryDirectory()
    root = try tree.root()
  }

  private var url: URL { URL(fileURLWithPath: tree[PartialFile.name(for: "a")]) }

  /// The record behind the content.
  private func record(of payload: [UInt8]) throws -> [UInt8] {
    let partial = try PartialFile(root: root, target: "a", byteCount: Int64(Self.content.count))
    try partial.write(Self.content, at: 0)
    try partial.record(progress: payload)
    partial.release()
    return Array(try Data(contentsOf: url).dropFirst(Self.content.count))
  }

  @Test func `a damaged record is given back as it was written, or not at all`() throws {
    let corpus = try Self.payloads.map(record)
    var taken = 0
    try Fuzzer("progress record", corpus: corpus, tokens: ["S3MPART1", "\0\0\0\0"]).run { record in
      try Data(Self.content + record).write(to: url)
      let partial = try PartialFile(
        root: root, target: "a", byteCount: Int64(Self.content.count), beginning: .resume)
      defer { partial.release() }
      guard let found = partial.progress else { return }
      taken += 1
      guard Self.payloads.contains(found) else { throw Fuzzer.Complaint("took \(found)") }
    }
    #expect(taken >= corpus.count)
  }
}

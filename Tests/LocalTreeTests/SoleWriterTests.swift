import Foundation
import Glibc
import LocalTree
import TestSupport
import Testing

@Suite struct SoleWriterTests {
  private let tree: TemporaryDirectory

  init() throws {
    tree = try TemporaryDirectory()
    try tree.write("file", "1")
  }

  private func writers() throws -> WriterProbe {
    try #require(try TreeRoot(path: .init(tree.path)).open("file")).probeWriters()
  }

  @Test func `its end waits for a child that has the file open`() throws {
    let writer = try SoleWriter(tree["file"])
    let child = Process()
    child.executableURL = URL(fileURLWithPath: "/bin/sleep")
    child.arguments = ["0.3"]
    try writer.use { descriptor in
      child.standardOutput = FileHandle(fileDescriptor: descriptor, closeOnDealloc: false)
      return 0
    }
    try child.start()
    try writer.close()
    #expect(try writers() == .none)
    child.waitUntilExit()
  }

  @Test func `its end does not wait for who had the file open before`() throws {
    let first = try SoleWriter(tree["file"])
    let second = try SoleWriter(tree["file"])
    try second.close()
    #expect(try writers() == .present)
    try first.close()
    #expect(try writers() == .none)
  }
}

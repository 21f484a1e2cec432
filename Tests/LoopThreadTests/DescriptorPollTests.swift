import Glibc
import SystemPackage
import Testing

@testable import LoopThread

@Suite struct DescriptorPollTests {
  private func makePipe() throws -> (reading: CInt, writing: CInt) {
    let (reader, writer) = try FileDescriptor.privatePipe()
    return (reader.rawValue, writer.rawValue)
  }

  @Test func `a wake-up ends the next wait and is no ready descriptor`() throws {
    let poll = try DescriptorPoll()
    poll.wakeup.signal()
    poll.wait(milliseconds: -1)
    #expect(poll.takeReady().isEmpty)
    // Drained: nothing is left that would end a wait.
    poll.wait(milliseconds: 0)
    #expect(poll.takeReady().isEmpty)
  }

  @Test func `a ready descriptor is told once a wait, and never after it is forgotten`() throws {
    let poll = try DescriptorPoll()
    let (reading, writing) = try makePipe()
    defer {
      close(reading)
      close(writing)
    }
    poll.watch(reading, reading: true, writing: false)
    poll.wait(milliseconds: 0)
    #expect(poll.takeReady().isEmpty)
    var byte: UInt8 = 1
    #expect(write(writing, &byte, 1) == 1)
    poll.wait(milliseconds: -1)
    let ready = poll.takeReady()
    #expect(ready.map(\.descriptor) == [reading])
    #expect(ready.allSatisfy { $0.canRead && !$0.canWrite && !$0.hasFailed })
    #expect(poll.takeReady().isEmpty)
    poll.forget(reading)
    poll.wait(milliseconds: 0)
    #expect(poll.takeReady().isEmpty)
  }

  @Test(.timeLimit(.minutes(1))) func `what is watched for can change, and an end that is gone is a failure`()
    throws
  {
    let poll = try DescriptorPoll()
    let (reading, writing) = try makePipe()
    defer { close(writing) }
    poll.watch(writing, reading: false, writing: false)
    poll.wait(milliseconds: 0)
    #expect(poll.takeReady().isEmpty)
    poll.watch(writing, reading: false, writing: true)
    poll.wait(milliseconds: -1)
    #expect(poll.takeReady().map(\.canWrite) == [true])
    close(reading)
    // A child that another test starts has the closed end too until it executes its program.
    var ready: [Bool] = []
    while ready != [true] {
      poll.wait(milliseconds: -1)
      ready = poll.takeReady().map(\.hasFailed)
      #expect(ready.count == 1)
    }
  }
}

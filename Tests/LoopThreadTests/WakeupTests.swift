import Glibc
import LoopThread
import Testing

@Suite struct WakeupTests {
  @Test func `a signal makes the descriptor readable until it is drained`() throws {
    let wakeup = try Wakeup()
    #expect(isReadable(wakeup.descriptor) == false)
    wakeup.signal()
    wakeup.signal()
    #expect(isReadable(wakeup.descriptor))
    wakeup.drain()
    #expect(isReadable(wakeup.descriptor) == false)
    wakeup.drain()
  }

  private func isReadable(_ descriptor: Int32) -> Bool {
    var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    return poll(&entry, 1, 0) == 1
  }
}

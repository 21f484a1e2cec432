import Glibc
import Synchronization
import Testing

@Suite struct Planted {
  @Test func sound() {
    let memory = UnsafeMutablePointer<Int>.allocate(capacity: 4)
    memory.initialize(repeating: 1, count: 4)
    #expect(memory[2] == 1)
    memory.deallocate()
  }

  /// A sanitizer that does not see the lock takes this for a race.
  @Test func soundUnderLock() async {
    let total = Total()
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<8 {
        group.addTask { for _ in 0..<2000 { total.add() } }
      }
    }
    #expect(total.numbers.withLock { $0 } == [16000])
  }

  @Test func address() {
    let memory = UnsafeMutablePointer<Int>.allocate(capacity: 4)
    memory.initialize(repeating: 1, count: 4)
    memory.deallocate()
    #expect(memory[2] != 2)  // read after it was freed
  }

  @Test func thread() {
    shared.initialize(to: 0)
    var threads = [pthread_t](repeating: 0, count: 2)
    for index in threads.indices { pthread_create(&threads[index], nil, count, nil) }
    for thread in threads { pthread_join(thread, nil) }
    #expect(shared.pointee > 0)
  }
}

private final class Total: Sendable {
  let numbers = Mutex([0])

  func add() { numbers.withLock { $0[0] += 1 } }
}

nonisolated(unsafe) private let shared = UnsafeMutablePointer<Int>.allocate(capacity: 1)

/// Two threads add to one number, without a lock.
@Sendable private func count(_: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
  for _ in 0..<1000 { shared.pointee += 1 }
  return nil
}

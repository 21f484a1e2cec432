/// Opens once; who comes before waits.
package actor Latch {
  private var isOpen = false
  private var waiting: [CheckedContinuation<Void, Never>] = []

  package init() {}

  package func open() {
    isOpen = true
    for each in waiting { each.resume() }
    waiting = []
  }

  /// Opens it; whether it was closed before.
  package func openFirst() -> Bool {
    defer { open() }
    return !isOpen
  }

  package func wait() async {
    if isOpen { return }
    await withCheckedContinuation { waiting.append($0) }
  }
}

import Foundation

/// Whether a program, looked up in `PATH`, runs and says that all went well. What it prints is dropped.
package func succeeds(_ command: [String]) -> Bool {
  let process = Process()
  process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
  process.arguments = command
  process.standardOutput = FileHandle.nullDevice
  process.standardError = FileHandle.nullDevice
  do {
    try process.start()
    process.waitUntilExit()
    return process.terminationStatus == 0
  } catch {
    return false
  }
}

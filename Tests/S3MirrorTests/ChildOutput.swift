import Foundation
import TestSupport

/// Runs a program to its end and returns what it printed.
func output(of program: String, _ arguments: [String]) async throws -> String {
  let process = Process()
  process.executableURL = URL(fileURLWithPath: program)
  process.arguments = arguments
  let pipe = Pipe.makePrivate()
  process.standardOutput = pipe
  try process.start()
  let bytes = try pipe.fileHandleForReading.readToEnd() ?? Data()
  process.waitUntilExit()
  guard process.terminationStatus == 0 else { throw ProgramFailed(status: process.terminationStatus) }
  return String(decoding: bytes, as: UTF8.self)
}

struct ProgramFailed: Error {
  var status: Int32
}

// LoopThread

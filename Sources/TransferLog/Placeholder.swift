// TransferLog

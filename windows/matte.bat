@echo off
rem Drop videos or folders on this file: the mattes of NAME.mp4 go to NAME_matte beside it.
setlocal EnableExtensions EnableDelayedExpansion
rem Explorer leaves names like a&b.mp4 without quotes; this line has them whole.
set "VRMATTE_DROPPED=!CMDCMDLINE!"
setlocal DisableDelayedExpansion
for %%R in ("%~dp0..") do set "ROOT=%%~fR"
set "VRMATTE_CACHE_DIR=%ROOT%\.uv\weights"
if not exist "%ROOT%\.venv\Scripts\python.exe" goto missing
"%ROOT%\.venv\Scripts\python.exe" "%ROOT%\scripts\matte_dropped.py" %*
set "CODE=%ERRORLEVEL%"
if not defined VRMATTE_NO_PAUSE pause
rem Not "exit /b": cmd would go on with what follows an & in a dropped name.
if defined VRMATTE_NO_PAUSE exit /b %CODE%
exit %CODE%

:missing
echo vrmatte isn't installed here yet: run install.bat first.
if not defined VRMATTE_NO_PAUSE pause
exit 1
